"""The calls of a compiled model that give derivatives beyond the gradient, along directions and as matrices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.arguments import Argument
from gradcompile.compiler.calls import Calls, Gradient
from gradcompile.errors import TooLargeError

if TYPE_CHECKING:
    from gradcompile.compiler.derivatives import Derivatives
    from gradcompile.compiler.matrices import Matrices


@contextmanager
def _in_memory(matrix: str, sizes: Mapping[str, int], *, sparse: bool) -> Iterator[None]:
    """Say which matrix it is where NumPy finds no memory for it."""
    try:
        yield
    except TooLargeError:
        raise
    except MemoryError:
        products = "hvp is its product with a direction" if matrix == "hessian" else "jvp and vjp are products with it"
        hint = products if sparse else f"write {matrix}(sparse=True, ...) if most of it is 0; {products}"
        found = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        raise TooLargeError(f"the {matrix} does not fit into memory", found=found, hint=hint) from None


class DerivativeCalls(Calls):
    """What `CompiledModel` has of these."""

    @cached_property
    def _derivatives(self) -> Derivatives:
        from gradcompile.compiler.derivatives import Derivatives

        def gradient(arguments: Sequence[Argument]) -> tuple[Gradient, ...]:
            return tuple(self._program.run("value_and_grad", arguments)[1])

        return Derivatives(self.lowered, self.checked.bind, gradient, self._new, self.dtype)

    def jvp(self, v: Any = None, /, *positional: Any, **inputs: Any) -> Any:
        """Return the derivative of the objective along a direction: the Jacobian times v, by forward mode.

        Parameters
        ----------
        v : number, array-like, tuple of them, or dict by name
            The direction: as `wrt` was given, each part with the shape of its parameter.
        **inputs : number or array-like
            The arguments by name; see `value` for the errors.

        Returns
        -------
        float or ndarray
            As the objective.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, y = symbols("x y")
        >>> gc.compile(x**2*y, wrt=[x, y]).jvp((1, 10), x=3, y=2)
        102.0
        """
        return self._derivatives.jvp(v, self._named(positional, inputs))

    def vjp(self, u: Any = None, /, *positional: Any, **inputs: Any) -> Any:
        """Return u times the Jacobian, by reverse mode; of an objective that is a number, u times the gradient.

        Parameters
        ----------
        u : number or array-like
            Of the shape of the objective.
        **inputs : number or array-like
            The arguments by name; see `value` for the errors.

        Returns
        -------
        number, array, or tuple of them
            As `wrt` was given, each part with the shape of its parameter.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, y = symbols("x y")
        >>> gc.compile(x**2*y, wrt=[x, y]).vjp(2, x=3, y=2)
        (24.0, 18.0)
        >>> gc.compile([x*y, x + y], wrt=[x, y]).vjp([1, 10], x=3, y=2)
        (12.0, 13.0)
        """
        return self._mirrored(self._derivatives.vjp(u, self._named(positional, inputs)))

    def jacobian(self, /, *positional: Any, sparse: bool = False, **inputs: Any) -> Any:
        """Return the derivatives of the objective by every parameter; of an objective that is a number, the gradient.

        Columns (or rows, in reverse mode) that have no entry in common, as the indices of the model tell, are
        computed together.

        Parameters
        ----------
        sparse : bool
            Whether one sparse matrix is returned, of the entries that can differ from zero.
        **inputs : number or array-like
            The arguments by name; see `value` for the errors.

        Returns
        -------
        number, array, tuple of them, or scipy.sparse.csr_array
            As `wrt` was given, each part with the axes of the objective and then those of its parameter. A sparse
            matrix has a row for each number of the objective and a column for each of the parameters, which stand one
            after another as in `ravel`.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, y = symbols("x y")
        >>> gc.compile(x**2*y, wrt=[x, y]).jacobian(x=3, y=2)
        (12.0, 9.0)
        >>> gc.compile([x*y, x + y], wrt=[x, y]).jacobian(x=3, y=2, sparse=True).toarray()
        array([[2., 3.],
               [1., 1.]])
        """
        if not self.is_array and not sparse:
            return self._mirrored(self._derivatives.gradient(self.checked.bind(self._named(positional, inputs))[0]))
        arguments, sizes = self.checked.bind(self._named(positional, inputs))
        with _in_memory("jacobian", sizes, sparse=sparse):
            if sparse:
                return self._matrices.sparse_jacobian(arguments, sizes)
            shape = tuple(axis.size.evaluate(sizes) for axis in self.lowered.output_axes("value"))
            matrix = self._matrices.jacobian(arguments, sizes)
            return self._mirrored(self._matrices.blocks(matrix, [shape], self._shapes(arguments))[0])

    def hvp(self, v: Any = None, /, *positional: Any, **inputs: Any) -> Any:
        """Return the Hessian times a direction, by forward mode over reverse mode: no Hessian is formed.

        Parameters
        ----------
        v : number, array-like, tuple of them, or dict by name
            The direction: as `wrt` was given, each part with the shape of its parameter.
        **inputs : number or array-like
            The arguments by name; see `value` for the errors.

        Returns
        -------
        number, array, or tuple of them
            As the gradient.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, y = symbols("x y")
        >>> gc.compile(x**2*y, wrt=[x, y]).hvp((1, 10), x=3, y=2)
        (64.0, 6.0)
        """
        self._need_number("hvp")
        return self._mirrored(self._derivatives.hvp(v, self._named(positional, inputs)))

    def hessian(self, /, *positional: Any, sparse: bool = False, **inputs: Any) -> Any:
        """Return all second derivatives.

        Columns that can share a direction, as the indices of the model tell, are computed together.

        Parameters
        ----------
        sparse : bool
            Whether one sparse matrix is returned, of the entries that can differ from zero.
        **inputs : number or array-like
            The arguments by name; see `value` for the errors.

        Returns
        -------
        number or array, tuple of tuples of them, or scipy.sparse.csr_array
            For one parameter its axes twice: (n, n) for one of n numbers. For a list of parameters blocks: [k][l] has
            the axes of parameter k, and then those of parameter l. A sparse matrix has a row and a column for each
            number among the parameters, which stand one after another as in `ravel`.

        Examples
        --------
        >>> from sympy import symbols
        >>> import gradcompile as gc
        >>> x, y = symbols("x y")
        >>> gc.compile(x**2*y, wrt=[x, y]).hessian(x=3, y=2)
        ((4.0, 6.0), (6.0, 0.0))
        """
        self._need_number("hessian")
        arguments, sizes = self.checked.bind(self._named(positional, inputs))
        with _in_memory("hessian", sizes, sparse=sparse):
            if sparse:
                return self._matrices.sparse_hessian(arguments, sizes)
            shapes = self._shapes(arguments)
            rows = self._matrices.blocks(self._matrices.hessian(arguments, sizes), shapes, shapes)
            return rows[0][0] if self.single else rows

    def _shapes(self, arguments: Sequence[Argument]) -> list[tuple[int, ...]]:
        return [np.shape(argument) for argument in arguments[: len(self.lowered.wrt)]]

    @cached_property
    def _matrices(self) -> Matrices:
        from gradcompile.compiler.matrices import Matrices  # models without second derivatives do not wait for it

        return Matrices(self._derivatives, self.graph)
