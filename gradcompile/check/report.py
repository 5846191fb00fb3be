"""What a check found: components of a gradient, each with a verdict, and the worst of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["right", "ill-conditioned", "kink", "not resolved", "WRONG"]
MOST = 16.0  # digits of a float64


@dataclass(frozen=True)
class Component:
    """One component of a gradient and its check.

    Parameters
    ----------
    name : str
        The entry of the parameter: ``W[2, 0]``; or ``all, along a direction``.
    gradient : float
        What the compiled code gives.
    exact : float
        The derivative at 50 digits, rounded; by differences in floating point where a model is too large for that.
    verdict : {"right", "ill-conditioned", "kink", "not resolved", "WRONG"}
        "ill-conditioned": the formula is right, and floating point loses most of its digits at this point. "kink": the
        objective has no derivative here, and a convention decides. "not resolved": differences in floating point are
        too inexact to tell.
    condition : float
        By how much a relative error of rounding is magnified in this component; dimensionless, nan where not measured.
    formula : float
        The relative error of the emitted formula without rounding, at 60 digits; nan where it was not run.
    uncertainty : float
        How far off `exact` may be, by its own estimate.
    """

    name: str
    gradient: float
    exact: float
    verdict: Verdict
    condition: float = math.nan
    formula: float = math.nan
    uncertainty: float = 0.0

    @property
    def parameter(self) -> str:
        """The parameter that the component belongs to."""
        return self.name.partition("[")[0]

    @property
    def relative(self) -> float:
        """How far the compiled and the exact component are apart, relative to the larger one."""
        if self.gradient == self.exact:
            return 0.0
        apart, size = abs(self.gradient - self.exact), max(abs(self.gradient), abs(self.exact))
        return apart / size if math.isfinite(apart) and size else math.inf

    @property
    def digits(self) -> float:
        """The decimal digits in which the two agree, at most 16."""
        return min(MOST, max(0.0, -math.log10(max(self.relative, 10**-MOST)))) if self.relative < 1 else 0.0

    def __str__(self) -> str:
        """Return both numbers in a line."""
        off = f" ± {self.uncertainty:.1g}" if self.uncertainty else ""
        text = f"{self.name}: gradient {self.gradient:.10g}, exact {self.exact:.10g}{off}"
        return text if math.isnan(self.condition) else f"{text}, condition {self.condition:.1g}"


@dataclass(frozen=True)
class GradientReport:
    """What `check_grad` found.

    Parameters
    ----------
    value : float
        The objective.
    components : tuple of Component
        What was looked at.
    total : int
        Of how many components these are.
    method : str
        What the gradient was compared with.

    Examples
    --------
    >>> from sympy import symbols
    >>> import gradcompile as gc
    >>> x, w = symbols("x w")
    >>> report = gc.check_grad(gc.compile(w**2*x, wrt=w), w=3.0, x=0.5)
    >>> report.right, report.digits, report.total
    (True, 16.0, 1)
    """

    value: float
    components: tuple[Component, ...]
    total: int
    method: str

    @property
    def worst(self) -> Component:
        """The worst component: a wrong one before an ill-conditioned one, and then the one with the fewest digits."""
        return max(self.components, key=lambda c: (RANK.index(c.verdict), c.relative))

    @property
    def checked(self) -> int:
        """How many components were looked at one by one."""
        return sum(not c.name.startswith("all,") for c in self.components)

    @property
    def digits(self) -> float:
        """The decimal digits of the worst component that are confirmed."""
        return self.worst.digits

    @property
    def right(self) -> bool:
        """Whether no component is wrong; an ill-conditioned one is not."""
        return all(c.verdict != "WRONG" for c in self.components)

    @property
    def verdict(self) -> Verdict:
        """The verdict on the worst component."""
        return self.worst.verdict

    @property
    def unresolved(self) -> tuple[Component, ...]:
        """Components that differences in floating point tell nothing about."""
        return tuple(c for c in self.components if c.verdict == "not resolved")

    def __str__(self) -> str:
        """Return the report in a few lines."""
        lines = [f"value {self.value:.10g}; {self.checked} of {self.total} components checked, {self.method}"]
        lines.append(f"worst: {self.worst}; {self.digits:.1f} digits agree: {self.verdict}")
        for verdict, words in MORE.items():
            found = [c for c in self.components if c.verdict == verdict and c is not self.worst]
            if found:
                lines.append(f"{len(found)} more {words}, such as {found[0]}")
        return "\n".join(lines)


RANK: tuple[Verdict, ...] = ("not resolved", "right", "kink", "ill-conditioned", "WRONG")
MORE: dict[Verdict, str] = {
    "WRONG": "wrong",
    "ill-conditioned": "ill-conditioned: floating point loses their digits, whatever the formula",
    "kink": "at a kink, where a convention decides",
    "not resolved": "too small for differences to tell",
}
