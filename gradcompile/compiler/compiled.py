"""`compile` and the compiled model: the calls that users make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.arguments import Argument, Arguments, no_numbers, numeric
from gradcompile.compiler.calls import Gradients
from gradcompile.compiler.differentiation import DerivativeCalls
from gradcompile.compiler.minimisation import MinimisationCalls
from gradcompile.compiler.numbers import quick
from gradcompile.compiler.outputs import alone, without_outputs
from gradcompile.compiler.specification import dtype_of, model_of
from gradcompile.emit import listing
from gradcompile.errors import ArgumentError, UnknownNameError, no_attribute, within_depth
from gradcompile.files import path_of
from gradcompile.garbage import uncollected
from gradcompile.lower import lower, with_samples
from gradcompile.model import Model
from gradcompile.pipeline import (
    Decision,
    Program,
    Trusting,
    simplify,
    stable,
    suiting,
    trusting,
    with_gradient,
)
from gradcompile.verify import verify

# What not every model needs is imported by the calls that need it: a program waits for all that stands here.
if TYPE_CHECKING:
    from gradcompile.compiler.stability import Stabilised
    from gradcompile.saving import Saved

MEANT = {
    **dict.fromkeys(("gradient", "gradients", "grads", "backward", "derivative"), "call grad, or value_and_grad"),
    **dict.fromkeys(("loss", "objective", "forward", "evaluate", "eval", "apply"), "call value"),
    **dict.fromkeys(("train", "learn", "optimize", "optimise"), "call fit"),
    **dict.fromkeys(("minimize", "minimise"), "call fit, or ravel for what scipy.optimize.minimize takes"),
    **dict.fromkeys(("params", "parameters", "weights"), "fit(...).params has them; arguments has all names"),
    **dict.fromkeys(("code", "sourcecode", "python"), "source is the module that runs, gradcompile.emit writes others"),
    **dict.fromkeys(("jac", "jacfwd", "jacrev"), "call jacobian; its products are jvp and vjp"),
    **dict.fromkeys(("hess", "hessp"), "call hessian; its products with directions are hvp"),
    "latex": "the command line has it: gradcompile latex",
}


@within_depth()
@uncollected()
def compile(
    expr: Any,
    wrt: Any = None,
    data: Any = (),
    define: Any = None,
    outputs: Any = None,
    dtype: Any = "float64",
    strict: bool = False,
) -> CompiledModel:
    """Compile an objective and its gradient.

    Everything that can be wrong with the mathematics is told here. The kernel of a model with arrays is compiled from
    the first call on, in the background: until it is done, answers come from NumPy.

    Parameters
    ----------
    expr : SymPy expression, Model, or the output of sympy.cse
        The objective: a scalar in Symbols, in Indexed arrays and sums over indices, in matrices, or in all of them. Or
        an array: a list of expressions, a Matrix or matrix expression (a length of one is no axis), or a Lambda,
        whose variables are the axes. An array has no gradient, but a `jacobian`.
    wrt : Symbol, IndexedBase, MatrixSymbol, or a list of them
        The parameters. One symbol: one gradient comes back; a list: a tuple. A `Model` brings its own.
    data : list of Symbol, IndexedBase or MatrixSymbol
        Inputs that get a leading sample axis; the objective is then the mean over the samples.
    define : mapping, or list of pairs
        Named intermediate quantities: ``{y: expr}``, ``{y[s, i]: expr}``. The names appear in the emitted code.
    outputs : mapping of str to expression or sympy.Lambda
        What `predict` can be asked for; a Lambda's variables are the axes of the output.
    dtype : {"float64", "float32"}
        Of the arithmetic and of all real arrays.
    strict : bool
        Whether sums and products are computed as they are written, without being rearranged for speed.

    Returns
    -------
    CompiledModel

    Raises
    ------
    ModelError
        The mathematics is not a model; the subclass and the message say how.
    ArgumentError
        An argument is of another type.

    Examples
    --------
    >>> from sympy import exp, symbols
    >>> import gradcompile as gc
    >>> x, w1, w0 = symbols("x w1 w0")
    >>> model = gc.compile(1 + exp(w1*x + w0), wrt=[x, w1, w0])
    >>> model.value_and_grad(x=0.5, w1=2, w0=-1)
    (2.0, (2.0, 0.5, 1.0))
    """
    return CompiledModel(model_of(expr, wrt, data, define, outputs), dtype_of(dtype), bool(strict))


class CompiledModel(DerivativeCalls, MinimisationCalls):
    """An objective, its gradient, and the code of both. Made by `compile`.

    Arguments of all calls are given by name, as ``model.arguments`` lists them: numbers, arrays, and whatever NumPy
    takes for one. ``help(model.value)`` shows their axes.

    Attributes
    ----------
    model : Model or Saved
        The mathematics, or the file that it comes from.
    graph : Graph
        The intermediate representation of value and gradient; it prints.
    lowered : Graph
        The objective alone, before differentiation.
    arguments : tuple of str
        The names of the arguments in call order, the parameters first.
    dtype : {"float64", "float32"}
        Of the arithmetic and of all real arrays.
    strict : bool
        Whether arithmetic is done as written.
    is_array : bool
        Whether the objective is an array, which has a Jacobian and no gradient.

    Examples
    --------
    >>> from sympy import symbols
    >>> import gradcompile as gc
    >>> x, t, w = symbols("x t w")
    >>> gc.compile((w*x - t)**2, wrt=w, data=[x, t]).arguments
    ('w', 'x', 't')
    """

    def __init__(self, model: Model | Saved, dtype: str = "float64", strict: bool = False) -> None:
        self.model, self.dtype, self.strict = model, dtype, strict
        self._all = verify(lower(model) if isinstance(model, Model) else with_samples(model.graph))
        self.lowered = without_outputs(self._all)
        self.single = bool(model.single)
        self.is_array = bool(self.lowered.output_axes("value"))
        prepared = None if self.is_array else stable(self.lowered)
        self.graph = simplify(self.lowered) if prepared is None else with_gradient(prepared)
        self._patient = False  # whether the user has waited for compiled code
        self._exact = self._new(self.graph, None if prepared is None else suiting(self.lowered, prepared))
        faster = None if prepared is None or self.strict else trusting(self.lowered, prepared, self.dtype)
        self._program = Trusting(faster[0], self._exact, faster[1]) if faster is not None else self._exact
        self._outputs: dict[str, Program] = {}
        self.arguments = self._program.arguments.names
        self.__signature__ = self.checked.signature.inspected()

    if not TYPE_CHECKING:  # where every attribute would be thought to be there

        def __getattr__(self, name: str) -> None:
            """Say what to do about an attribute that is not there."""
            raise no_attribute("a compiled model", name, dir(type(self)), MEANT, "help(gradcompile.CompiledModel)")

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the call that makes the model again in another process: as from a file, by its operations.

        SymPy would simplify the formulas on their way.
        """
        return type(self), (self.saved(), self.dtype, self.strict)

    def __repr__(self) -> str:
        """Return the arguments, the parameters and the state of compilation."""
        gradients = ", ".join(self.graph.wrt)
        state = "" if self.ready else ", not compiled yet"
        found = "value" if self.is_array else f"value and gradient by {gradients}"
        return f"<CompiledModel ({self.checked}) -> {found}; {self.dtype}{state}>"

    # What is called ------------------------------------------------------------------------------------------------

    @cached_property
    def value(self) -> Callable[..., Any]:
        """Return the objective.

        Parameters
        ----------
        **inputs : number or array-like
            The arguments by name.

        Returns
        -------
        float or ndarray
            An array, of the model's dtype, if the objective is one.

        Raises
        ------
        ArgumentError, UnknownNameError, ShapeError, LabelError, DataError
            An argument is missing, unknown, or not what the model needs; the message says which, where and how.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, t, w = symbols("x t w")
        >>> gc.compile((w*x - t)**2, wrt=w, data=[x, t]).value(w=2, x=[1, 2], t=[2, 2])
        2.0
        """
        run, bound = self._program.run, self._bound

        def value(*positional: Any, **inputs: Any) -> float:
            return float(run("value", bound(positional, inputs)))

        def value_of_array(*positional: Any, **inputs: Any) -> Any:
            return np.asarray(run("value", bound(positional, inputs)), self.dtype)

        if self.is_array:
            value_of_array.__name__ = "value"
            return self._signed(value_of_array)
        return self._signed(quick(self._program, value, single=self.single))

    @cached_property
    def grad(self) -> Callable[..., Gradients]:
        """Return the gradient.

        Parameters
        ----------
        **inputs : number or array-like
            The arguments by name; see `value` for the errors.

        Returns
        -------
        float, ndarray, or tuple of them
            For one symbol in `wrt` one gradient, for a list a tuple. Each has the shape of its parameter, and an array
            the model's dtype.

        Raises
        ------
        UnsupportedError
            The objective is an array, which has a `jacobian`.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, t, w = symbols("x t w")
        >>> gc.compile((w*x - t)**2, wrt=w, data=[x, t]).grad(w=2, x=[1, 2], t=[2, 2])
        4.0
        """
        self._need_number("grad")
        run, bound, mirrored = self._program.run, self._bound, self._mirrored

        def grad(*positional: Any, **inputs: Any) -> Gradients:
            return mirrored(run("value_and_grad", bound(positional, inputs))[1])

        return self._signed(quick(self._program, grad, single=self.single))

    @cached_property
    def value_and_grad(self) -> Callable[..., tuple[float, Gradients]]:
        """Return the objective and its gradient, at little more than the cost of the gradient alone.

        Parameters
        ----------
        **inputs : number or array-like
            The arguments by name; see `value` for the errors.

        Returns
        -------
        value : float
            The objective.
        gradient : float, ndarray, or tuple of them
            As `grad` returns it.

        Raises
        ------
        UnsupportedError
            The objective is an array, which has a `jacobian`.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, t, w = symbols("x t w")
        >>> gc.compile((w*x - t)**2, wrt=[w], data=[x, t]).value_and_grad(w=2, x=[1, 2], t=[2, 2])
        (2.0, (4.0,))
        """
        self._need_number("value_and_grad")
        run, bound, mirrored = self._program.run, self._bound, self._mirrored

        def value_and_grad(*positional: Any, **inputs: Any) -> tuple[float, Gradients]:
            value, gradients = run("value_and_grad", bound(positional, inputs))
            return float(value), mirrored(gradients)

        return self._signed(quick(self._program, value_and_grad, single=self.single))

    def predict(self, output: str = "", /, *positional: Any, **inputs: Any) -> Any:
        """Return one of the outputs that were named in ``outputs={...}``.

        Parameters
        ----------
        output : str
            Its name.
        **inputs : number or array-like
            The arguments that the output needs, by name; others of the model are left aside.

        Returns
        -------
        float or ndarray
            The axes are the variables of the output's Lambda, in their order.

        Raises
        ------
        UnknownNameError
            The model has no such output, or no such argument; see `value` for the other errors.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, t, w = symbols("x t w")
        >>> line = gc.compile((w*x - t)**2, wrt=w, data=[x, t], outputs={"y": w*x})
        >>> line.predict("y", w=2, x=[1, 2])
        array([2., 4.])
        """
        known = ", ".join(self.model.outputs) or "none: the model has no outputs"
        if not isinstance(output, str) or not output:
            hint = 'write predict("name of an output", name=value)'
            raise ArgumentError("predict comes with the name of an output first", expected=known, hint=hint)
        if output not in self.model.outputs:
            hint = "ask for one of these" if self.model.outputs else f"write outputs={{{output!r}: ...}} in compile"
            raise UnknownNameError(f"the model has no output {output!r}", expected=known, hint=hint)
        self._named(positional, inputs)
        for name in inputs:
            if name not in self._all.inputs:
                raise Arguments(self._all).signature.unknown(name)
        program = self._output(output)
        needed = {name: value for name, value in inputs.items() if name in program.graph.inputs}
        result = program.run("value", program.arguments.bind(needed)[0])
        return np.asarray(result, self.dtype) if program.graph.output_axes("value") else float(result)

    def save(self, path: str | PathLike[str], known: Mapping[str, Any] | None = None) -> None:
        """Write the model to a file, which `gradcompile.load_model` reads: operations, arrays and a digest, no pickle.

        Parameters
        ----------
        path : path
            Of an NPZ file, which is replaced if it is there.
        known : mapping of str to array-like, optional
            Parameters and constants to keep with it; `Trained.save` gives those that were learned.

        Raises
        ------
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, y = symbols("x y")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gc.compile(x**2*y, wrt=[x, y]).save(pathlib.Path(folder, "square.npz"))
        ...     gc.load_model(pathlib.Path(folder, "square.npz")).value(x=3, y=2)
        18.0
        """
        from gradcompile.saving import replace, to_bytes

        replace(path_of(path), to_bytes(self.saved(known)))

    def saved(self, known: Mapping[str, Any] | None = None) -> Saved:
        """Return what `save` writes.

        Parameters
        ----------
        known : mapping of str to array-like, optional
            Parameters and constants to keep with the model.

        Returns
        -------
        Saved
            Operations, arrays and what `compile` was asked for.
        """
        from gradcompile.saving import Saved

        for name in known or {}:
            if name not in self._all.inputs:
                raise Arguments(self._all).signature.unknown(name)
        arrays = {name: numeric(value, partial(no_numbers, name)) for name, value in (known or {}).items()}
        return Saved(self._all, self.dtype, self.strict, self.single, arrays)

    # What is read --------------------------------------------------------------------------------------------------

    @cached_property
    def stability(self) -> tuple[Stabilised, ...]:
        """What was rewritten before differentiation, why, and the errors that this avoids, in ULP.

        Examples
        --------
        >>> from sympy import exp, log, symbols
        >>> import gradcompile as gc
        >>> x = symbols("x")
        >>> (found,) = gc.compile(log(1 + exp(x)), wrt=x).stability
        >>> found.before, found.after
        ('log(1 + exp(x))', 'softplus(x)')
        >>> found.domain, found.error_before, found.error_after <= 2
        ((-10000.0, 10000.0), inf, True)
        """
        from gradcompile.compiler.stability import stability

        return stability(self.lowered)

    @cached_property
    def listing(self) -> str:
        """The lecture's forward and backward steps, one operation a line.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, w = symbols("x w")
        >>> print(gc.compile((w*x - 1)**2, wrt=w).listing, end="")
        # forward
        a = w*x
        b = a - 1
        f = b**2
        <BLANKLINE>
        # backward
        df = 1
        db = 2*b*df
        da = db
        dw = x*da
        """
        self._need_number("listing of its gradient")
        return listing.render(self.lowered)

    @property
    def text(self) -> str:
        """The model in the text language; see `Model.text`."""
        return self.model.text

    @property
    def source(self) -> str:
        """The module that runs: once there was a call, that for its sizes, which `plan` tells.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, w = symbols("x w")
        >>> "def value_and_grad(w, x):" in gc.compile(w*x, wrt=w).source
        True
        """
        return self._program.answering.source

    @property
    def source_in_parts(self) -> str:
        """The module that runs where threads share the samples of a large call; "" if they cannot."""
        return self._program.answering.source_in_parts

    @property
    def plan(self) -> Decision:
        """What answers at present, the schedule of the kernel, and the reasons; it prints.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, w = symbols("x w")
        >>> gc.compile(w*x, wrt=w).plan.runs
        'python'
        """
        return self._program.answering.decision

    @property
    def ready(self) -> bool:
        """Whether calls that have been made before get compiled answers; few scalars need no compiler.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, w = symbols("x w")
        >>> gc.compile(w*x, wrt=w).ready
        True
        """
        programs = [program for program in self._programs() if not program.idle]
        return bool(programs) and all(program.ready for program in programs)

    def wait(self) -> CompiledModel:
        """Compile now, and return the model: all answers from now on come from compiled code.

        Without it, the first answers come from NumPy, while the kernel is compiled in the background.

        Returns
        -------
        CompiledModel
            This one.

        Raises
        ------
        EmissionError
            The kernel does not compile, which is a defect of gradcompile.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, w = symbols("x w")
        >>> gc.compile(w*x, wrt=w).wait().ready
        True
        """
        main = "value" if self.is_array else "value_and_grad"
        if not self._program.asked(main):
            self._program.function(main)
        for program in self._programs():
            program.wait()
        self._patient = True
        return self

    # How it is done ------------------------------------------------------------------------------------------------

    def _signed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with the model's arguments as its signature, and the words of the property as its own."""
        call.__doc__ = getattr(type(self), call.__name__).__doc__
        call.__qualname__ = f"{type(self).__name__}.{call.__name__}"
        call.__signature__ = self.__signature__  # type: ignore[attr-defined]  # a function may have attributes
        return call

    def _programs(self) -> list[Program]:
        """Return the programs that there are so far: of the objective, of outputs, of other derivatives."""
        made = vars(self)  # those that are made when they are first asked for
        derivatives = made["_derivatives"].programs if "_derivatives" in made else ()
        estimate = [made["_minibatch"]] if "_minibatch" in made else []
        return [*dict.fromkeys((self._program, self._exact)), *self._outputs.values(), *derivatives, *estimate]

    def _bound(self, positional: Sequence[Any], inputs: dict[str, Any]) -> list[Argument]:
        return self._program.arguments.bind(self._named(positional, inputs) if positional else inputs, whole=False)[0]

    def _output(self, name: str) -> Program:
        """Return the program of one output, made when it is first asked for."""
        if name not in self._outputs:
            self._outputs[name] = self._new(simplify(alone(self._all, name)))
        return self._outputs[name]
