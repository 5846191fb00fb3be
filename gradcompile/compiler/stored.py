"""Models and parameters from files: what `save` wrote, looked at before it is used."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from gradcompile.compiler.compiled import CompiledModel
from gradcompile.files import path_of
from gradcompile.garbage import uncollected
from gradcompile.saving import check_same, facts, parameters, read

if TYPE_CHECKING:
    from gradcompile.train import Trained


@uncollected()
def load_model(path: str | PathLike[str]) -> CompiledModel | Trained:
    """Return the model that a file holds; nothing in the file is ever run.

    Parameters
    ----------
    path : path
        What `CompiledModel.save` or `Trained.save` has written.

    Returns
    -------
    CompiledModel or Trained
        What was saved: with parameters a trained model, whose calls need the data alone.

    Raises
    ------
    DataError
        The file is none of these, is broken, or was changed since it was saved.
    OSError
        It cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sympy import symbols
    >>> import gradcompile as gc
    >>> x, y = symbols("x y")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gc.compile(x**2*y, wrt=[x, y]).save(pathlib.Path(folder, "square.npz"), known={"y": 2})
    ...     load_model(pathlib.Path(folder, "square.npz")).value(x=3)
    18.0
    """
    from gradcompile.train import Trained  # it brings a progress bar, which nothing else needs

    saved = read(path_of(path))
    compiled = CompiledModel(saved, saved.dtype, saved.strict)
    return Trained(compiled, saved.known) if saved.known else compiled


def load_params(path: str | PathLike[str], model: CompiledModel) -> dict[str, Any]:
    """Return the parameters in a file, once they are found to be those of this model.

    Parameters
    ----------
    path : path
        What the command `gradcompile train`, `CompiledModel.save` or `Trained.save` has written.
    model : CompiledModel
        The model that they are for.

    Returns
    -------
    dict of str to array or float
        The parameters by name, and the constants that were kept with them.

    Raises
    ------
    DataError
        As in `load_model`; or they are of another model: the message names the fields that differ.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sympy import symbols
    >>> import gradcompile as gc
    >>> x, y = symbols("x y")
    >>> square = gc.compile(x**2*y, wrt=[x, y])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     square.save(pathlib.Path(folder, "square.npz"), known={"x": 3, "y": 2})
    ...     square.value(**load_params(pathlib.Path(folder, "square.npz"), square))
    18.0
    """
    path = path_of(path)
    found = parameters.read(path, model.saved())
    if found is not None:
        return found
    saved = read(path)
    check_same(facts(saved.graph), facts(model.saved().graph), path.name)
    return dict(saved.known)
