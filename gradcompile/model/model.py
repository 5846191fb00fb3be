"""What a model is before it is compiled: an objective in SymPy, its parameters, its definitions and its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gradcompile.errors import no_attribute

from .carried import Part, Place, packed, unpacked
from .reductions import Symbolic
from .text import text_of


@dataclass(frozen=True)
class Model:
    """A model as mathematics, ready to be lowered.

    Parameters
    ----------
    objective : sympy expression
        The scalar (or, for Jacobians, vector) to differentiate.
    wrt : tuple of Symbol, IndexedBase or MatrixSymbol
        The parameters, in the order of the gradients.
    single : bool
        Whether `wrt` was given as one symbol, so that one gradient and not a tuple comes back.
    data : tuple of Symbol, IndexedBase or MatrixSymbol
        Inputs of the per-sample form: each gets a leading sample axis and the objective is the mean over it.
    definitions : mapping
        Named intermediate quantities, in order: ``{y: expr}`` for a scalar, ``{y[s, i]: expr}`` for an indexed one.
    outputs : mapping of str to expression or sympy.Lambda
        What `predict` can be asked for; a Lambda's variables are the axes of the output.
    inputs : tuple of Symbol, IndexedBase or MatrixSymbol
        Declared inputs in call order, where the order matters; the rest are found in the expressions.
    defaults : mapping of str to float
        Values of constants that a call may leave out.
    loss : str
        What the objective is called in a text.
    source : str
        The text that the model was parsed from, if it was; two models with the same mathematics are equal all the same.
    """

    objective: Symbolic
    wrt: tuple[Symbolic, ...]
    single: bool = False
    data: tuple[Symbolic, ...] = ()
    definitions: Mapping[Symbolic, Symbolic] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, Symbolic] = field(default_factory=lambda: MappingProxyType({}))
    inputs: tuple[Symbolic, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    loss: str = "loss"
    source: str = field(default="", compare=False)

    if not TYPE_CHECKING:  # where every attribute would be thought to be there

        def __getattr__(self, name: str) -> None:
            """Say what to do about an attribute that is not there."""
            call = "a model is mathematics: gradcompile.compile(model) has value, grad, fit and the code"
            raise no_attribute("Model", name, dir(type(self)), {}, call)

    def __deepcopy__(self, memo: object) -> Model:
        """Return the model itself, which does not change."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the call that makes the model again in another process."""
        groups = [(self.objective,), self.wrt, self.data, self.inputs, self.outputs.values()]
        groups += [self.definitions.keys(), self.definitions.values()]
        rest = self.single, tuple(self.outputs), dict(self.defaults), self.loss, self.source
        return _arrived, (*packed(each for group in groups for each in group), [len(group) for group in groups], *rest)

    @property
    def text(self) -> str:
        r"""The model in the text language: what `parse` makes of it is this model again.

        Of a model made in Python the mathematics comes back and not more: symbols are real, `single` is false, outputs
        are definitions.

        Raises
        ------
        UnsupportedError
            The language has no words for a part of it: matrices, a name that is not of letters and digits.

        Examples
        --------
        >>> import gradcompile as gc
        >>> print(gc.parse("w: parameter[D]\nx: data[N, D]\nloss = Sum((w[j] - x[s, j])**2, s, j)").text)
        x: data[N, D]
        w: parameter[D]
        <BLANKLINE>
        loss = Sum((w[j] - x[s, j])**2, s, j)
        <BLANKLINE>
        """
        return text_of(self)


def _arrived(
    parts: list[Part],
    places: list[Place],
    lengths: list[int],
    single: bool,
    outputs: tuple[str, ...],
    defaults: dict[str, float],
    loss: str,
    source: str,
) -> Model:
    """Return the model that another process sent."""
    formulas = iter(unpacked(parts, places))
    (objective,), wrt, data, inputs, predicted, names, bodies = (tuple(islice(formulas, each)) for each in lengths)
    return Model(
        objective,
        wrt,
        single=single,
        data=data,
        definitions=MappingProxyType(dict(zip(names, bodies, strict=True))),
        outputs=MappingProxyType(dict(zip(outputs, predicted, strict=True))),
        inputs=inputs,
        defaults=MappingProxyType(defaults),
        loss=loss,
        source=source,
    )
