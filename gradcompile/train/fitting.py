"""Training: steps of an optimizer over batches of samples, in compiled code, until it is time to stop."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from gradcompile.errors import no_attribute
from gradcompile.optimizers import SGD, Optimizer
from gradcompile.train.descent import Run
from gradcompile.train.history import Epoch
from gradcompile.train.settings import Settings, named_values
from gradcompile.train.task import task_of

MEANT = {
    **dict.fromkeys(("x", "coef_", "parameters", "weights", "theta"), "params has what was learned, by name"),
    **dict.fromkeys(("loss", "losses", "fun", "loss_curve_"), "history has the objective, epoch by epoch"),
    **dict.fromkeys(("message", "success", "status"), "stopped and reason say why training ended"),
    **dict.fromkeys(("score", "accuracy"), "compare what model.predict returns with what is known"),
    **dict.fromkeys(("fit", "train"), "train its .model once more, with init=result.params"),
    "predict": "the trained model predicts: result.model.predict",
}


class Trained:
    """A model with its parameters learned: calls need the data alone.

    Parameters
    ----------
    model : CompiledModel
        The model that was trained.
    known : mapping of str to array or float
        The learned parameters, and the constants of the training.

    Examples
    --------
    >>> from sympy import symbols
    >>> import gradcompile as gc
    >>> x, t, w = symbols("x t w")
    >>> line = gc.compile((w*x - t)**2, wrt=w, data=[x, t], outputs={"y": w*x})
    >>> trained = line.fit(x=[1, 2, 3], t=[2, 4, 6], init={"w": 0.0}, epochs=50, progress=False).model
    >>> trained.predict("y", x=[5]).round(6)
    array([10.])
    >>> round(trained.value(x=[5], t=[10]), 6)
    0.0
    """

    def __init__(self, model: Any, known: Mapping[str, Any]) -> None:
        self.model, self.known = model, dict(known)

    def __repr__(self) -> str:
        """Return the model, and what it knows."""
        return f"<{self.model!r} with {', '.join(self.known)} learned or given>"

    if not TYPE_CHECKING:  # where every attribute would be thought to be there

        def __getattr__(self, name: str) -> None:
            """Say what to do about an attribute that is not there."""
            raise no_attribute("a trained model", name, dir(type(self)), MEANT, "its .model has all other calls")

    def predict(self, output: str = "", /, *positional: Any, **inputs: Any) -> Any:
        """Return an output of the model with the learned parameters, for new data; see `CompiledModel.predict`.

        Parameters
        ----------
        output : str
            Its name.
        **inputs : number or array-like
            The data that the output needs, by name.

        Returns
        -------
        float or ndarray
            The axes are the variables of the output's Lambda, in their order.
        """
        return self.model.predict(output, *positional, **self._with(inputs))

    def value(self, **inputs: Any) -> Any:
        """Return the objective with the learned parameters; see `CompiledModel.value`.

        Parameters
        ----------
        **inputs : number or array-like
            The data by name.

        Returns
        -------
        float or ndarray
            As `CompiledModel.value` does.
        """
        return self.model.value(**self._with(inputs))

    def grad(self, **inputs: Any) -> Any:
        """Return the gradient at the learned parameters; see `CompiledModel.grad`.

        Parameters
        ----------
        **inputs : number or array-like
            The data by name.

        Returns
        -------
        float, ndarray, or tuple of them
            As `CompiledModel.grad` does.
        """
        return self.model.grad(**self._with(inputs))

    def value_and_grad(self, **inputs: Any) -> Any:
        """Return objective and gradient at the learned parameters; see `CompiledModel.value_and_grad`.

        Parameters
        ----------
        **inputs : number or array-like
            The data by name.

        Returns
        -------
        tuple of float and gradient
            As `CompiledModel.value_and_grad` does.
        """
        return self.model.value_and_grad(**self._with(inputs))

    def save(self, path: Any) -> None:
        """Write the model and what it knows to a file; see `CompiledModel.save`, and `gradcompile.load_model`.

        Parameters
        ----------
        path : path
            Of an NPZ file, which is replaced if it is there.
        """
        self.model.save(path, self.known)

    def _with(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return self.known | dict(inputs)


@dataclass(frozen=True)
class Result:
    """What `fit` returns.

    Parameters
    ----------
    params : dict of str to array or float
        The learned parameters by name, in the model's dtype, with the axes that the model declares.
    history : list of Epoch
        One number an epoch, the objective per sample, with its facts as attributes.
    stopped : {"finished", "no improvement", "interrupted", "not finite"}
        Why training ended.
    reason : str
        The same in a sentence.
    model : Trained
        The model with the learned parameters.
    """

    params: dict[str, Any]
    history: list[Epoch]
    stopped: str
    reason: str
    model: Trained = field(repr=False)

    if not TYPE_CHECKING:  # where every attribute would be thought to be there

        def __getattr__(self, name: str) -> None:
            """Say what to do about an attribute that is not there."""
            names = [each.name for each in fields(self)]
            raise no_attribute("a result", name, names, MEANT, f"it has {', '.join(names)}")


def fit(
    model: Any,
    inputs: Mapping[str, Any],
    *,
    optimizer: Optimizer = SGD(0.1),  # noqa: B008  (immutable)
    epochs: int = 20,
    batch_size: int | Literal["auto"] | None = "auto",
    seed: int = 0,
    init: Mapping[str, Any] | None = None,
    valid: float | Mapping[str, Any] | None = None,
    patience: int | None = None,
    min_improvement: float = 0.0,
    progress: bool = True,
) -> Result:
    """Minimise the objective by steps over batches of samples.

    A step takes the gradient of the objective per sample, estimated from the batch: (1/B) Σ ∇ℓ + ∇R/N for an
    objective Σ ℓ + R, and the mean's own for a mean. The samples of an epoch are shuffled by (seed, epoch) alone, and
    read where they are. The last batch may be short. All of a step is compiled code, in calls of about 0.1 s, so that
    Ctrl-C stops training within a second and returns what was learned.

    Parameters
    ----------
    model : CompiledModel
        The model.
    inputs : mapping of str to array-like
        The data and the constants, by name, in their own units.
    optimizer : Optimizer
        The rule and its learning rate, a number or a formula in the step number t.
    epochs : int
        How often every sample is taken.
    batch_size : int, None or "auto"
        Samples in a batch; None or N and more: all of them, without shuffling. "auto" is 128 where the objective is
        a sum over samples, else all.
    seed : int
        The only source of randomness: of the order, of the split and of starting values. Not negative.
    init : mapping of str to array-like
        Values to start from. Other scalars and vectors start at 0; other arrays with two axes or more at normal random
        numbers with standard deviation 1/sqrt(first axis). Their sizes come from the data; an axis that only labels
        index, such as that of the classes, gets the length largest label + 1.
    valid : float or mapping, optional
        A part of the samples to hold out, between 0 and 1; or data to validate on, by name (what it leaves out is
        taken from `inputs`).
    patience : int, optional
        Stop after so many epochs without improvement of the validation objective (the training objective if there are
        no validation data), and return the best parameters.
    min_improvement : float
        What counts as improvement, in units of the objective per sample.
    progress : bool
        Whether to show a bar on stderr; there is none if that is not a terminal.

    Returns
    -------
    Result

    Raises
    ------
    MinibatchError
        A part of the samples is asked for, and the objective is not a sum over samples.
    DataError, ShapeError, LabelError, ArgumentError, UnknownNameError
        The data, a constant or a setting is wrong; the message says which and how.
    """
    settings = Settings(optimizer, epochs, batch_size, seed, patience, min_improvement, progress)
    settings.check()
    run = Run(settings, task_of(model, settings, dict(inputs), named_values(init), valid))
    stopped, reason = run.train()
    params = run.steps.learned()
    declared = model.lowered.inputs.values()
    constants = {i.name: inputs[i.name] for i in declared if i.role == "constant" and i.name in inputs}
    return Result(params, run.history, stopped, reason, Trained(model, constants | params))


OPTIONS = frozenset(inspect.signature(fit).parameters)  # what a call says about the training, and not the model
