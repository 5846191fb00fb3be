"""Functions that are not a row of the table: rewritten in rows, once a class; a user's own keep their derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import sympy
from sympy.concrete.expr_with_limits import ExprWithLimits
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.piecewise import ExprCondPair

from gradcompile.errors import UnsupportedError
from gradcompile.ir import Value, union
from gradcompile.model.parts import walk

from .places import shown, text_of
from .state import Ask, Scope, State, Steps

NOT_REAL = (
    type(sympy.oo),
    type(-sympy.oo),
    type(sympy.zoo),
    type(sympy.nan),
    type(sympy.I),
    sympy.Integral,
    sympy.Limit,
)
# What to do instead, by the name of a class.
WAYS_OUT = {
    "Integral": "carry it out with .doit(), or sum over points",
    "Lambda": "define it by its elements, {y[i]: expression}",
    "Limit": "carry it out with .doit()",
    "LofCholesky": "make the factor L the parameter: L*L.T is the matrix",
    "UofCholesky": "make the factor U the parameter: U.T*U is the matrix",
    "Order": "cut it off with .removeO()",
    "Poly": "write .as_expr()",
    "RandomSymbol": "take a density: sympy.stats.density(variable)(x)",
}


Exact = Callable[[Any], tuple[Any, Any]]  # from x to the value and the slope


def _cathetus(x: Any) -> Any:
    """Return sqrt(x**2 - 1) for abs(x) > 1, without a difference of squares."""
    return sympy.sqrt(sympy.Abs(x) - 1) * sympy.sqrt(sympy.Abs(x) + 1)


def _reciprocal(x: Any, y: Any) -> Any:
    """Return 1/x/y as two quotients: the product of x and y may overflow, and so may what its derivative is made of."""
    return sympy.UnevaluatedExpr(1 / x) / y


# Inverses of reciprocals: as functions of 1/x they lose digits where that is near 1, and their slopes overflow near 0.
RECIPROCAL: dict[type, Exact] = {
    sympy.asech: lambda x: (
        2 * sympy.asinh(sympy.sqrt((1 - x) / 2) / sympy.sqrt(x)),
        -_reciprocal(x, sympy.sqrt((1 - x) * (1 + x))),
    ),
    sympy.acsch: lambda x: (sympy.asinh(1 / x), -_reciprocal(sympy.Abs(x), sympy.sqrt(1 + x**2))),
    sympy.acoth: lambda x: (sympy.sign(x) * sympy.log(1 + 2 / (sympy.Abs(x) - 1)) / 2, -_reciprocal(x - 1, x + 1)),
    sympy.asec: lambda x: (sympy.atan2(_cathetus(x), sympy.sign(x)), _reciprocal(sympy.Abs(x), _cathetus(x))),
    sympy.acsc: lambda x: (sympy.atan2(sympy.sign(x), _cathetus(x)), -_reciprocal(sympy.Abs(x), _cathetus(x))),
}


# Equal but for single points: a Heaviside(x, 1/2) is 1/2 at 0, where the singularity function is 1.
ALMOST = ("_eval_rewrite_as_SingularityFunction",)


class Template(NamedTuple):
    """A function in terms of rows: its value, and the derivative that the user gave it, in the symbols of arguments."""

    symbols: tuple[Any, ...]
    value: Any
    partials: tuple[Any, ...] = ()
    output: Any = None


def rewritten(state: State, ask: Ask) -> Steps:
    """Lower a function without a row by what it is equal to."""
    template = _template(state, ask.expr, ())
    if template is None:
        raise _unknown(ask)
    scope, arguments = Scope(ask.scope.root, guarded=ask.scope.guarded), []
    for symbol, arg in zip(template.symbols, ask.expr.args, strict=True):
        arguments.append((yield Ask(arg, ask.scope)))
        scope = scope.bind(symbol, state.argument(arguments[-1]))
    value = yield Ask(template.value, scope)
    if not template.partials:
        return value
    scope = scope.bind(template.output, state.argument(value))
    partials = []
    for derivative in template.partials:
        partials.append((yield Ask(derivative, scope)))
    operands = (value, *arguments, *partials)
    return state.builder.make("custom", operands, union(o.axes for o in operands), "real", type(ask.expr).__name__)


def _template(state: State, expr: Any, visiting: tuple[type, ...]) -> Template | None:
    """Return the template of a function, made once for each class and each number among its arguments."""
    key = expr.func, tuple(a if a.is_Number else None for a in expr.args)
    if key not in state.templates:
        state.templates[key] = None  # while it is being made, it cannot be used
        state.templates[key] = _make(state, expr, (*visiting, expr.func))
    found: Template | None = state.templates[key]
    return found


def _make(state: State, expr: Any, visiting: tuple[type, ...]) -> Template | None:
    if not all(isinstance(a, sympy.Expr) for a in expr.args):
        return None
    symbols = tuple(sympy.Dummy(f"a{k}", real=True) for k in range(len(expr.args)))
    call = expr.func(*(a if a.is_Number else d for a, d in zip(expr.args, symbols, strict=True)))
    if expr.func in RECIPROCAL:
        value, slope = RECIPROCAL[expr.func](symbols[0])
        return _known(state, Template(symbols, value, (slope,), sympy.Dummy("f", real=True)))
    candidates = [c for c in _equal_to(call) if _is_lowered(state, c, visiting)]
    if not candidates:
        return None
    value = min(candidates, key=lambda c: (c.has(ExprWithLimits), c.count_ops()))
    partials: tuple[Any, ...] = ()
    output = sympy.Dummy("f", real=True)
    if _has_own_derivative(expr.func):
        partials = tuple(_partial(call, value, symbols, k, output) for k in range(len(symbols)))
    return _known(state, Template(symbols, value, partials, output))


def _known(state: State, template: Template) -> Template:
    """Let the survey know the symbols and the parts of a template."""
    state.survey.free.bound.update((*template.symbols, template.output))
    state.survey.free.learn([template.value, *template.partials])
    return template


def _equal_to(call: Any) -> Iterator[Any]:
    """Yield what a call of a function is equal to: evaluated, expanded, rewritten, or what its implementation gives."""
    forms: list[Callable[[], Any]] = [call.doit, partial(sympy.expand_func, call)]
    rewrites = [name for name in dir(call) if name.startswith("_eval_rewrite_as_") and name not in ALMOST]
    forms += [partial(getattr(call, name), *call.args) for name in rewrites]
    if callable(getattr(call, "_imp_", None)):
        forms.append(partial(call._imp_, *call.args))
    for form in forms:
        try:
            result = form()
        except Exception:  # a rewrite that is not made for these arguments
            continue
        if isinstance(result, sympy.Basic) and result != call:
            yield result


def _is_lowered(state: State, expr: Any, visiting: tuple[type, ...]) -> bool:
    """Return whether every part of an expression has a rule, and none leads back to a function being rewritten."""
    for part in walk([expr]):
        if isinstance(part, NOT_REAL) or type(part) in visiting:
            return False
        rule = state.rule_for(Ask(part, Scope(part)))
        if rule is unsupported and not isinstance(part, (sympy.Tuple, ExprCondPair)):
            return False
        if rule is rewritten and _template(state, part, visiting) is None:
            return False
    return True


def _has_own_derivative(function: type) -> bool:
    own = getattr(function, "fdiff", None)
    return own is not sympy.Function.fdiff and not function.__module__.startswith("sympy.")


def _partial(call: Any, value: Any, symbols: tuple[Any, ...], k: int, output: Any) -> Any:
    """Return the user's derivative by argument k; inside of it the function is its value."""
    try:
        derivative = sympy.sympify(call.fdiff(k + 1), strict=True)
    except sympy.core.function.ArgumentIndexError:
        return sympy.diff(value, symbols[k])
    derivative = derivative.xreplace({call: output})
    return derivative.replace(call.func, lambda *args: value.xreplace(dict(zip(symbols, args, strict=True))))


# --- single functions


def logarithm(state: State, ask: Ask) -> Steps:
    """Lower log(x); the logarithm of a determinant is computed as such."""
    argument = ask.expr.args[0]
    if isinstance(argument, sympy.Determinant):
        from .matrices import matrix_function

        return (yield from matrix_function(state, "logdet", argument.arg, ask.scope))
    return state.apply("log", (yield Ask(argument, ask.scope)))


def polygamma(state: State, ask: Ask) -> Steps:
    """Lower the polygamma function, whose order is a number."""
    order, argument = ask.expr.args
    if not (order.is_Integer and order >= 0):
        raise UnsupportedError(
            "the order of polygamma is not a whole number",
            **shown(ask.scope.root, ask.expr),
            expected="0, 1, 2, ...",
            hint="write the number itself: polygamma(1, x)",
        )
    value = yield Ask(argument, ask.scope)
    if order == 0:
        return state.apply("digamma", value)
    return state.apply("polygamma", state.builder.const(int(order)), value)


def evaluated(state: State, ask: Ask) -> Steps:
    """Lower what SymPy can carry out: a derivative, a substitution."""
    done = ask.expr.doit()
    if isinstance(done, type(ask.expr)):
        raise unsupported_error(ask)
    state.survey.free.learn([done])
    return (yield Ask(done, ask.scope))


def delta(state: State, ask: Ask) -> Steps:
    """Lower a Kronecker delta, which may say within which bounds it is not 0.

    SymPy says it of elements of an identity, of sizes that are symbols: there the indices are within.
    """
    if len(ask.expr.args) == 2:
        return (yield from rewritten(state, ask))
    i, j, (low, high) = ask.expr.args
    found = sympy.KroneckerDelta(i, j)
    if low != 0 or high.is_Number:
        within = sympy.And(sympy.Ge(i, low), sympy.Le(i, high), evaluate=False)
        found = sympy.Piecewise((found, within), (0, True), evaluate=False)
    state.survey.free.learn([found])
    return (yield Ask(found, ask.scope))


BY_RELATION = (sympy.Interval, sympy.FiniteSet, sympy.Union)  # sets whose members SymPy tells by comparisons
LOWEST = {sympy.S.Integers: -sympy.oo, sympy.S.Naturals: 1, sympy.S.Naturals0: 0}  # of sets of whole numbers


def member(state: State, ask: Ask) -> Steps:
    """Ask whether a number is in an interval, or is whole and not too small, as probabilities of `sympy.stats` do."""
    number, those = ask.expr.args
    if isinstance(those, BY_RELATION):
        asked = those.as_relational(number)
        state.survey.free.learn([asked])
        return (yield Ask(asked, ask.scope))
    if those not in LOWEST:
        raise unsupported_error(ask)
    whole = sympy.Eq(sympy.floor(number), number, evaluate=False)
    least = sympy.Ge(number, LOWEST[those], evaluate=False)
    asked = whole if LOWEST[those] == -sympy.oo else sympy.And(whole, least, evaluate=False)
    state.survey.free.learn([asked])
    return (yield Ask(asked, ask.scope))


def unsupported(state: State, ask: Ask) -> Value:
    """Refuse an object for which there is no meaning."""
    raise unsupported_error(ask)


def unsupported_error(ask: Ask) -> UnsupportedError:
    """Return the error for an object without a meaning."""
    what = text_of(ask.expr) if isinstance(ask.expr, NOT_REAL[:5]) else f"{type(ask.expr).__name__}"
    return UnsupportedError(
        f"{what} has no meaning in a model",
        **shown(ask.scope.root, ask.expr),
        expected="real numbers, symbols, arrays, matrices, functions, sums over indices",
        hint=WAYS_OUT.get(type(ask.expr).__name__, "rewrite this part"),
    )


def _unknown(ask: Ask) -> UnsupportedError:
    name = type(ask.expr).__name__
    if isinstance(ask.expr, AppliedUndef):
        hint = f"name it with define=..., or make it a subclass of sympy.Function whose eval says what {name} is"
        return UnsupportedError(
            f"there is no function {name!r}",
            **shown(ask.scope.root, ask.expr),
            hint=hint,
            expected="a function of SymPy",
        )
    return UnsupportedError(
        f"the function {name!r} has no form in elementary functions",
        **shown(ask.scope.root, ask.expr),
        hint=f"write it out, or give the class a method _eval_rewrite_as_exp that says what {name} is",
        expected="a function of SymPy with a form in elementary functions",
    )
