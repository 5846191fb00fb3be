"""What a user gives to `compile`, checked and put in order: a `Model`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import sympy
from sympy.matrices.expressions.matexpr import MatrixElement

from gradcompile.errors import ArgumentError, DuplicateNameError, ModelError, UnsupportedError
from gradcompile.model import Model
from gradcompile.model.parts import walk

DTYPES = ("float64", "float32")
VARIABLES = (sympy.Symbol, sympy.IndexedBase, sympy.MatrixSymbol)
DEFINED = (sympy.Symbol, sympy.Indexed, sympy.MatrixSymbol)


def model_of(expr: Any, wrt: Any, data: Any, define: Any, outputs: Any) -> Model:
    """Return the model that the arguments of `compile` describe.

    Raises
    ------
    ArgumentError
        An argument is no SymPy object of the right sort.
    DuplicateNameError
        A parameter is listed twice.
    UnsupportedError
        The components of the objective are not numbers.
    """
    if isinstance(expr, Model):
        return _adjusted(expr, wrt, data, define, outputs)
    replacements, objective = _objective(expr)
    definitions = {**dict(replacements), **dict(_definitions("define", define))}
    parameters, single = _parameters(wrt)
    return Model(
        objective,
        parameters,
        single=single,
        data=_variables("data", data),
        definitions=MappingProxyType(definitions),
        outputs=MappingProxyType(dict(_outputs(outputs))),
    )


def dtype_of(dtype: Any) -> str:
    """Return the name of a floating type that kernels can have."""
    try:
        name = str(np.dtype(dtype))
    except TypeError:
        name = repr(dtype)
    if name not in DTYPES:
        raise ArgumentError(
            f"there are no kernels of dtype {name}",
            expected=" or ".join(DTYPES),
            found=f"dtype={dtype!r}",
            hint="choose one of these; data of other types are converted",
        )
    return name


def _adjusted(model: Model, wrt: Any, data: Any, define: Any, outputs: Any) -> Model:
    """Return a model with other parameters or further outputs; what else it is was said when it was made."""
    for name, given in (("data", data), ("define", define)):
        if given:
            raise ArgumentError(f"{name} is a part of the model already", hint=f"give {name} where the Model is made")
    if wrt is not None:
        parameters, single = _parameters(wrt)
        model = replace(model, wrt=parameters, single=single)
    if outputs:
        merged = {**model.outputs, **dict(_outputs(outputs))}
        model = replace(model, outputs=MappingProxyType(merged))
    return model


def _objective(expr: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """Return definitions and objective: an expression has no definitions, the output of `sympy.cse` has."""
    if isinstance(expr, tuple) and len(expr) == 2 and isinstance(expr[0], (list, tuple)):
        replacements, expressions = expr
        if isinstance(expressions, (list, tuple)) and len(expressions) == 1:
            expressions = expressions[0]
        return _definitions("the output of sympy.cse", replacements), _expression(expressions)
    if isinstance(expr, CONDITIONS):
        what, hint = "the objective is a condition", "write sympy.Piecewise((a, condition), (b, True)), or a difference"
        raise ArgumentError(what, text=str(expr), expected="a number", found=type(expr).__name__, hint=hint)
    return [], _expression(expr)


CONDITIONS = (sympy.core.relational.Relational, sympy.logic.boolalg.BooleanFunction, sympy.logic.boolalg.BooleanAtom)


def _expression(expr: Any, name: str = "the objective") -> Any:
    if isinstance(expr, (int, float)) and not isinstance(expr, bool):
        return sympy.sympify(expr, strict=True)
    if isinstance(expr, str):
        hint = "make symbols with sympy.symbols, or parse the text: gradcompile.parse(...)"
        raise ArgumentError(
            f"{name} is text", text=expr, expected="a SymPy expression", found=f"{expr!r:.60}", hint=hint
        )
    if isinstance(expr, (list, tuple, sympy.Tuple, sympy.NDimArray)):
        return _components(expr)
    if not isinstance(expr, (sympy.Basic, sympy.MatrixBase)):
        found = f"an object of type {type(expr).__name__}"
        compiled = isinstance(getattr(expr, "model", None), Model)
        hint = (
            "give what it was compiled from: its .model" if compiled else "write it with SymPy's symbols and functions"
        )
        what = f"{name} is not mathematics"
        raise ArgumentError(what, expected="a SymPy expression or a Model", found=found, hint=hint)
    return _with_matrices(expr)


def _with_matrices(expr: Any) -> Any:
    """Return an expression with elements of matrices for those of SymPy's arrays, ``Array([a, b])[i]``."""
    while found := [e for e in walk([expr]) if isinstance(e, sympy.Indexed) and isinstance(e.base, sympy.NDimArray)]:
        expr = expr.xreplace({element: _of_an_array(element) for element in found})
    return expr


def _of_an_array(element: Any) -> Any:
    array, indices = element.base, element.indices
    if array.rank() > 2:
        what, hint = "an index takes an element of an Array with more than two axes", "write it as several matrices"
        raise UnsupportedError(what, text=str(element), expected="one axis, or two", hint=hint)
    rows = [[each] for each in array.tolist()] if array.rank() == 1 else array.tolist()
    return sympy.ImmutableDenseMatrix(rows)[(*indices, 0)[:2]]


def _components(expr: Any) -> Any:
    """Return a list of expressions as an objective that is a vector, and a list of lists as one that is a matrix."""
    rows = list(expr.tolist() if isinstance(expr, sympy.NDimArray) else expr)
    if not rows:
        raise ArgumentError(
            "the objective is an empty list",
            expected="an expression, or several",
            found=repr(expr),
            hint="list what is to be differentiated",
        )
    nested = [isinstance(row, (list, tuple, sympy.Tuple)) for row in rows]
    if not any(nested):
        return sympy.Tuple(*map(_scalar, rows))
    if not all(nested) or len({len(row) for row in rows}) > 1:
        raise UnsupportedError(
            "the objective is a list of lists of different lengths",
            expected="rows of one length",
            hint="give each row as many components",
        )
    return sympy.ImmutableDenseMatrix([[_scalar(each) for each in row] for row in rows])


def _scalar(expr: Any) -> Any:
    """Return one component of an objective."""
    expr = _expression(expr)
    if isinstance(expr, (sympy.Tuple, sympy.MatrixBase, sympy.MatrixExpr, sympy.Lambda)):
        hint = "list its elements, or compile it by itself"
        raise UnsupportedError("a component of the objective is no number", text=str(expr), hint=hint)
    return expr


def _parameters(wrt: Any) -> tuple[tuple[Any, ...], bool]:
    """Return the parameters, and whether there is one that is not in a list."""
    single = isinstance(wrt, VARIABLES)
    parameters = (wrt,) if single else _variables("wrt", wrt)
    if not parameters:
        hint = "list the symbols to differentiate with respect to: wrt=[...]"
        raise ArgumentError(
            "there is no parameter", expected="a symbol, or a list of them", found=f"wrt={wrt!r}", hint=hint
        )
    names = [str(parameter) for parameter in parameters]
    if (name := _repeated(names)) is not None:
        raise DuplicateNameError(
            f"{name} is listed twice",
            text=f"wrt={list(parameters)}",
            place=name,
            expected="each parameter once",
            found="it again",
            hint="take one away",
        )
    return parameters, single


def _variables(argument: str, given: Any) -> tuple[Any, ...]:
    """Return a list of symbols, arrays or matrices."""
    if isinstance(given, VARIABLES):
        given = (given,)
    if isinstance(given, (str, sympy.Basic)) or not isinstance(given, Iterable):
        given = () if given is None else (given,)
    variables = tuple(given)
    for variable in variables:
        if not isinstance(variable, VARIABLES):
            raise _not_a_variable(argument, variable)
    return variables


def _not_a_variable(argument: str, variable: Any) -> ModelError | ArgumentError:
    hint = "give a symbol that the objective has"
    if isinstance(variable, (sympy.Indexed, MatrixElement)):
        hint = f"give the whole array: {variable.args[0]}"
    elif isinstance(variable, str):
        hint = f"give the symbol itself: {variable} = sympy.Symbol({variable!r})"
    found = f"{argument}=[... {variable!r:.60} ...]"
    what = f"{argument} lists something that is no variable"
    return ArgumentError(what, expected="a Symbol, an IndexedBase or a MatrixSymbol", found=found, hint=hint)


def _definitions(argument: str, given: Any) -> list[tuple[Any, Any]]:
    """Return definitions; the elements of a matrix, `K[i, j]`, define all of it."""
    pairs = [_of_a_matrix(name, body) for name, body in _pairs(argument, given)]
    for name, _ in pairs:
        if not isinstance(name, DEFINED):
            expected = "a symbol, an element with formal indices such as y[s, i], or a MatrixSymbol"
            hint = f"define sympy.Symbol({name!r})" if isinstance(name, str) else "name it by one of these"
            raise ArgumentError(f"{name} cannot be defined", expected=expected, found=f"{name!r:.60}", hint=hint)
    return _each_once(pairs)


def _of_a_matrix(name: Any, body: Any) -> tuple[Any, Any]:
    """Return a definition; one of the elements of a matrix as one of the matrix."""
    if not isinstance(name, MatrixElement):
        return name, body
    matrix, *indices = name.args
    if not all(isinstance(index, (sympy.Symbol, sympy.Idx)) for index in indices) or indices[0] == indices[1]:
        expected, hint = "different symbols as indices", f"write the elements in general: {matrix}[i, j]"
        raise UnsupportedError(f"the left side {name} is not a definition", expected=expected, hint=hint)
    return matrix, sympy.FunctionMatrix(*matrix.shape, sympy.Lambda(tuple(indices), body))


def _outputs(outputs: Any) -> list[tuple[Any, Any]]:
    """Return the outputs, which have a text for a name."""
    pairs = _pairs("outputs", outputs)
    for name, _ in pairs:
        if not isinstance(name, str):
            what, found = "the name of an output is no text", f"outputs={{{name!r:.60}: ...}}"
            raise ArgumentError(what, expected='{"name": expression}', found=found, hint=f'write "{name}", in quotes')
    return _each_once(pairs)


def _pairs(argument: str, given: Any) -> list[tuple[Any, Any]]:
    """Return a mapping, or a list of pairs, as a list of pairs of name and expression."""
    given = () if given is None else given
    pairs = list(given.items() if isinstance(given, Mapping) else given if isinstance(given, Iterable) else (given,))
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
            raise ArgumentError(
                f"{argument} does not say what is what",
                expected="{name: expression}",
                found=f"{pair!r:.60}",
                hint="write {y: expression}",
            )
    return [(key, value if isinstance(value, sympy.Lambda) else _expression(value, str(key))) for key, value in pairs]


def _each_once(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return pairs of name and expression, none of them with the name of another."""
    if (name := _repeated([key for key, _ in pairs])) is not None:
        raise DuplicateNameError(
            f"{name} is defined twice", expected="one definition for each name", hint="rename one of them"
        )
    return pairs


def _repeated(names: Iterable[Any]) -> Any:
    """Return the first name that occurs a second time, or None."""
    seen: set[Any] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]  # add returns None
