"""`compile` and the compiled model: the calls that users make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.arguments import Argument, Arguments, no_numbers, numeric
from gradcompile.compiler.calls import DerivativeCalls
from gradcompile.compiler.flat import Flat, FlatFunction
from gradcompile.compiler.numbers import quick
from gradcompile.compiler.outputs import alone, without_outputs
from gradcompile.compiler.specification import dtype_of, model_of
from gradcompile.emit import listing
from gradcompile.errors import ArgumentError, UnknownNameError, no_attribute, within_depth
from gradcompile.files import path_of
from gradcompile.garbage import uncollected
from gradcompile.ir import Graph
from gradcompile.lower import lower, with_samples
from gradcompile.model import Model
from gradcompile.pipeline import (
    Decision,
    Program,
    Suiting,
    Trusting,
    differentiate,
    simplify,
    stable,
    suiting,
    trusting,
    with_gradient,
)
from gradcompile.verify import verify

# What not every model needs is imported by the calls that need it: a program waits for all that stands here.
if TYPE_CHECKING:
    from gradcompile.compiler.derivatives import Derivatives
    from gradcompile.compiler.stability import Stabilised
    from gradcompile.minibatch import Minibatch
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

Gradient = Any  # an array with the parameter's shape, or a float for a scalar parameter
Gradients = Any  # one gradient, or a tuple of them: as `wrt` was given


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


class CompiledModel(DerivativeCalls):
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

    def minibatch_grad(self, /, *positional: Any, rows: Any, **inputs: Any) -> Gradients:
        """Return an unbiased estimate of the gradient of the objective per sample, from some of the samples.

        The objective is Σ ℓ + R over N samples; the estimate from B of them is (1/B) Σ ∇ℓ + ∇R/N. An objective
        that is a mean already is not divided by N again.

        Parameters
        ----------
        rows : array of int
            The numbers of the samples, from 0; one may occur twice.
        **inputs : number or array-like
            The arguments by name, with all samples.

        Returns
        -------
        float, ndarray, or tuple of them
            As `grad` returns it.

        Raises
        ------
        MinibatchError
            The objective is not a sum over samples; the message says why.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, t, w = symbols("x t w")
        >>> line = gc.compile((w*x - t)**2, wrt=w, data=[x, t])
        >>> line.minibatch_grad(rows=[1], w=2, x=[1, 2], t=[2, 2])
        8.0
        """
        self._need_number("gradient")
        if np.asarray(rows).dtype == bool:
            raise ArgumentError(
                "rows is a mask, not the numbers of samples",
                expected="whole numbers from 0, each that of a sample",
                found="True and False",
                hint="give rows=numpy.flatnonzero(mask)",
            )
        program, given = self._minibatch, self.checked.bind(self._named(positional, inputs))
        arguments = dict(zip(self.arguments, given[0], strict=True)) | {self._estimate.rows: rows}
        if self._estimate.count:
            assert self.lowered.sample is not None
            arguments[self._estimate.count] = self.lowered.sample.size.evaluate(given[1])
        return self._mirrored(program.run("value_and_grad", program.arguments.bind(arguments)[0])[1])

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

    def fit(self, /, *positional: Any, **settings: Any) -> Any:
        """Minimise the objective; see `gradcompile.train.fit` for the settings and the result.

        Parameters
        ----------
        **settings : array-like, number or setting
            The data and constants by name, and the settings: optimizer, epochs, batch_size, seed, init, valid,
            patience, min_improvement, progress.

        Returns
        -------
        Result
            ``params`` by name, the ``history`` of the objective, and the ``model`` with these parameters.

        Raises
        ------
        MinibatchError
            The objective is not a sum over samples, and a `batch_size` was asked for.
        UnsupportedError
            The objective is an array, which has no minimum.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, t, w = symbols("x t w")
        >>> line = gc.compile((w*x - t)**2, wrt=w, data=[x, t])
        >>> result = line.fit(x=[1, 2, 3], t=[2, 4, 6], init={"w": 0.0}, epochs=50, progress=False)
        >>> round(result.params["w"], 6)
        2.0
        """
        self._need_number("minimum")
        from gradcompile import train  # it brings a progress bar, which nothing else needs

        said = [name for name in settings if name in train.OPTIONS and name not in self.arguments]
        options = {name: settings.pop(name) for name in said}
        given = self._named(positional, settings)
        for name in given:
            if name not in self.arguments:
                raise train.unknown(name, self.checked.signature)
        return train.fit(self, given, **options)

    def ravel(self, start: Mapping[str, Any] | None = None, /, **inputs: Any) -> tuple[FlatFunction, Flat]:
        """Return the model as a function of one flat array of all parameters, and the array to start from.

        Parameters
        ----------
        start : mapping of str to array-like
            A value for every parameter.
        **inputs : number or array-like
            All other arguments; they are checked once, here.

        Returns
        -------
        fun : FlatFunction
            ``fun(flat)`` is (value, flat gradient); ``fun.unravel(flat)`` gives the parameters by name.
        x0 : ndarray of float64
            The start, flat.

        Raises
        ------
        ArgumentError, UnknownNameError
            `start` has no names, or one that is not a parameter's; see `value` for the other errors.

        Examples
        --------
        >>> from scipy.optimize import minimize
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, y = symbols("x y")
        >>> fun, x0 = gc.compile((1 - x)**2 + 100*(y - x**2)**2, wrt=[x, y]).ravel({"x": -1, "y": 1})
        >>> minimize(fun, x0, jac=True).x.round(3)
        array([1., 1.])
        """
        self._need_number("gradient")
        if not isinstance(start, Mapping):
            found = "nothing" if start is None else f"an object of type {type(start).__name__}"
            hint = f"write {{name: value}} for each parameter: {', '.join(self.graph.wrt)}"
            raise ArgumentError("start has no names", expected="a dict of parameters", found=found, hint=hint)
        for name in start:
            if name not in self.graph.wrt:
                expected = ", ".join(self.graph.wrt)
                raise UnknownNameError(
                    f"start has {name!r}, which is not a parameter",
                    expected=expected,
                    found=name,
                    hint="start from parameters; give the rest as arguments of their own",
                )
        arguments, _ = self.checked.bind({**inputs, **start})
        fun = FlatFunction(self._flat_call, arguments, self.graph.wrt, self.dtype)
        return fun, fun.start()

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
        """The lecture's forward and backward steps, one operation a line."""
        self._need_number("listing of its gradient")
        return listing.render(self.lowered)

    @property
    def text(self) -> str:
        """The model in the text language; see `Model.text`."""
        return self.model.text

    @property
    def source(self) -> str:
        """The module that runs: once there was a call, that for its sizes, which `plan` tells."""
        return self._program.answering.source

    @property
    def source_in_parts(self) -> str:
        """The module that runs where threads share the samples of a large call; "" if they cannot."""
        return self._program.answering.source_in_parts

    @property
    def plan(self) -> Decision:
        """What answers at present, the schedule of the kernel, and the reasons; it prints."""
        return self._program.answering.decision

    @property
    def checked(self) -> Arguments:
        """The declared arguments, which check and cast those of a call."""
        return self._program.arguments

    @property
    def ready(self) -> bool:
        """Whether calls that have been made before get compiled answers; few scalars need no compiler."""
        programs = [program for program in self._programs() if not program.idle]
        return bool(programs) and all(program.ready for program in programs)

    def wait(self) -> CompiledModel:
        """Compile now, and return the model: all answers from now on come from compiled code.

        Without it, the first answers come from NumPy, while the kernel is compiled in the background.

        Raises
        ------
        EmissionError
            The kernel does not compile, which is a defect of gradcompile.
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

    def _new(self, graph: Graph, suited: Suiting | None = None) -> Program:
        """Return the program of a graph that belongs to this model."""
        program = Program(graph, self.dtype, self.strict, suited)
        program.patient = self._patient or program.patient
        return program

    def _programs(self) -> list[Program]:
        """Return the programs that there are so far: of the objective, of outputs, of other derivatives."""
        made = vars(self)  # those that are made when they are first asked for
        derivatives = made["_derivatives"].programs if "_derivatives" in made else ()
        estimate = [made["_minibatch"]] if "_minibatch" in made else []
        return [*dict.fromkeys((self._program, self._exact)), *self._outputs.values(), *derivatives, *estimate]

    def _named(self, positional: Sequence[Any], inputs: dict[str, Any]) -> dict[str, Any]:
        if positional:
            raise self.checked.signature.positional(len(positional))
        return inputs

    def _bound(self, positional: Sequence[Any], inputs: dict[str, Any]) -> list[Argument]:
        return self._program.arguments.bind(self._named(positional, inputs) if positional else inputs, whole=False)[0]

    def _mirrored(self, gradients: tuple[Gradient, ...]) -> Gradients:
        """Return gradients as `wrt` was given."""
        return gradients[0] if self.single else gradients

    def _flat_call(self, arguments: Sequence[Argument]) -> tuple[float, tuple[Gradient, ...]]:
        value, gradients = self._program.run("value_and_grad", arguments)
        return float(value), gradients

    @cached_property
    def _derivatives(self) -> Derivatives:
        from gradcompile.compiler.derivatives import Derivatives

        def gradient(arguments: Sequence[Argument]) -> tuple[Gradient, ...]:
            return tuple(self._program.run("value_and_grad", arguments)[1])

        return Derivatives(self.lowered, self.checked.bind, gradient, self._new, self.dtype)

    def _output(self, name: str) -> Program:
        """Return the program of one output, made when it is first asked for."""
        if name not in self._outputs:
            self._outputs[name] = self._new(simplify(alone(self._all, name)))
        return self._outputs[name]

    @cached_property
    def _estimate(self) -> Minibatch:
        from gradcompile.minibatch import minibatch

        return minibatch(self.lowered)

    @cached_property
    def _minibatch(self) -> Program:
        return self._new(differentiate(self._estimate.graph))
