"""Named sizes, found from the shapes of the arrays."""

from __future__ import annotations

from collections.abc import Iterable

from gradcompile.arguments.signature import Signature, axes
from gradcompile.errors import GradcompileError, ShapeError
from gradcompile.ir import Input, Requirement, Size

Shape = tuple[int, ...]


class Sizes:
    """The sizes that solve all declared shapes, found one after another, and the array that each was found from.

    Parameters
    ----------
    signature : Signature
        The declared arguments.

    Examples
    --------
    >>> x = Input("x", (Size.of("N"), Size.of("N") - 1))
    >>> sizes = Sizes(Signature({"x": x}))
    >>> sizes.solve([(x, (4, 3))])
    >>> sizes.told("N")
    'N is 4 from x'
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.known: dict[str, int] = {}
        self.found: dict[str, str] = {}

    def solve(self, shapes: Iterable[tuple[Input, Shape]]) -> None:
        """Find the sizes, or raise `ShapeError`: two arrays disagree, or no whole number fits.

        A declared size with several unknown names, such as ``N - K + 1``, waits until the others have made them known.
        """
        waiting = [(declared, k, shape) for declared, shape in shapes for k in range(len(shape))]
        while waiting:
            still = [fact for fact in waiting if not self._use(*fact)]
            if len(still) == len(waiting):
                return
            waiting = still

    def require(self, requirement: Requirement) -> None:
        """Raise `ShapeError` if a size that the model needs is negative."""
        if not self.solved(requirement.size) or requirement.size.evaluate(self.known) >= 0:
            return
        found = f"{requirement.size} = {requirement.size.evaluate(self.known)}; {self._all_told(requirement.size)}"
        raise ShapeError(
            requirement.message,
            expected=f"{requirement.size} of at least 0",
            found=found,
            hint="give longer arrays, or make the range or the window shorter",
        )

    def told(self, name: str) -> str:
        """Return a size, its number and the array that says so: ``N is 10 from gt``."""
        return f"{name} is {self.known[name]} from {self.found[name]}"

    def solved(self, size: Size) -> bool:
        """Return whether a size is a number by now."""
        return all(name in self.known for name, _ in size.terms)

    def _use(self, declared: Input, position: int, shape: Shape) -> bool:
        """Learn what the length of one axis says; return whether it said all that it can."""
        size, length = declared.shape[position], shape[position]
        unknown = [(name, count) for name, count in size.terms if name not in self.known]
        if len(unknown) > 1:
            return False
        if unknown:
            self._define(declared, size, *unknown[0], shape, length)
        elif size.evaluate(self.known) != length:
            raise self._disagreement(declared, position, shape)
        return True

    def _define(self, declared: Input, size: Size, name: str, count: int, shape: Shape, length: int) -> None:
        """Solve ``count*name + rest = length`` for the one unknown size."""
        number, remainder = divmod(length - size.evaluate({**self.known, name: 0}), count)
        if remainder or number < 0:
            what = f"{declared.name} has axes {axes(declared)}: no whole number {name} >= 0 makes {size} equal {length}"
            raise self._error(declared, what, "", shape, "give it another length", size)
        self.known[name], self.found[name] = number, declared.name

    def _disagreement(self, declared: Input, position: int, shape: Shape) -> GradcompileError:
        size = declared.shape[position]
        lengths = [str(s.evaluate(self.known)) if self.solved(s) else str(s) for s in declared.shape]
        expected = f"shape ({', '.join(lengths)}{',' * (len(lengths) == 1)})"
        others = dict.fromkeys(self.found[name] for name, _ in size.terms)
        others.pop(declared.name, None)
        what = f"{declared.name} has axes {axes(declared)}"
        hint = f"give {declared.name} length {size.evaluate(self.known)} along axis {position}"
        if others:
            what += f", and disagrees with {' and '.join(others)} about {size}"
            hint += f", or correct {' and '.join(others)}"
        return self._error(declared, what, expected, shape, hint, size)

    def _error(
        self, declared: Input, what: str, expected: str, shape: Shape, hint: str, size: Size
    ) -> GradcompileError:
        told = self._all_told(size)
        found = f"shape {shape}" + (f"; {told}" if told else "")
        return self.signature.fail(ShapeError, declared.name, what, expected=expected, found=found, hint=hint)

    def _all_told(self, size: Size) -> str:
        return ", ".join(self.told(name) for name, _ in size.terms if name in self.known)
