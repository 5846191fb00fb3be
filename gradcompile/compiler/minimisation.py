"""The calls of a compiled model that minimise its objective, here or by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.arguments import Argument
from gradcompile.compiler.calls import Calls, Gradient, Gradients
from gradcompile.compiler.flat import Flat, FlatFunction
from gradcompile.errors import ArgumentError, UnknownNameError
from gradcompile.pipeline import Program, differentiate

if TYPE_CHECKING:
    from gradcompile.minibatch import Minibatch


class MinimisationCalls(Calls):
    """What `CompiledModel` has of these."""

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

    def _flat_call(self, arguments: Sequence[Argument]) -> tuple[float, tuple[Gradient, ...]]:
        value, gradients = self._program.run("value_and_grad", arguments)
        return float(value), gradients

    @cached_property
    def _estimate(self) -> Minibatch:
        from gradcompile.minibatch import minibatch

        return minibatch(self.lowered)

    @cached_property
    def _minibatch(self) -> Program:
        return self._new(differentiate(self._estimate.graph))
