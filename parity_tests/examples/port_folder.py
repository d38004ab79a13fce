"""Imports a port from a folder that the user names in an environment variable: ports are judged, not shipped."""

import importlib
import importlib.util
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType

from pytorch_sketch_rnn.errors import BadInput


def port_folder(variable: str, marker: str) -> Path:
    """The folder that the environment variable names.

    Args:
        variable: of the environment.
        marker: a file of the port, relative to its folder, by which it is recognised.

    Raises:
        BadInput: when the variable is not set, or the folder does not hold that file.
    """
    named = os.environ.get(variable)
    if not named:
        raise BadInput(f"{variable} is not set; set it to the folder of the port, which holds {marker}")
    folder = Path(named).resolve()
    if not (folder / marker).is_file():
        raise BadInput(f"{variable}={named}: expected the folder of the port, but {marker} is not in it")
    return folder


def import_port(variable: str, package: str, alias: str) -> ModuleType:
    """Import a port's package under a name of our choice, since more than one port is called ``sketch_rnn``.

    Args:
        variable: of the environment; names the folder that holds the package.
        package: name of its folder.
        alias: what to call it here.

    Raises:
        BadInput: see :func:`port_folder`; also when the package cannot be imported.
    """
    path = port_folder(variable, f"{package}/__init__.py") / package / "__init__.py"
    loaded = sys.modules.get(alias)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    _forget(alias)
    spec = importlib.util.spec_from_file_location(alias, path, submodule_search_locations=[str(path.parent)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    try:
        with warnings.catch_warnings(action="ignore"):  # the port's own, of its syntax
            spec.loader.exec_module(module)
    except Exception as error:
        _forget(alias)
        raise _broken(variable, package, error) from None
    return module


def import_named(variable: str, module: str) -> ModuleType:
    """Import a port's module under its own name, for a port that refers to itself by that name.

    Raises:
        BadInput: see :func:`port_folder`; also when the module cannot be imported, or another copy of the port comes
            before that in the folder.
    """
    top, _, _ = module.partition(".")
    folder = port_folder(variable, f"{top}/__init__.py")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        with warnings.catch_warnings(action="ignore"):
            loaded = importlib.import_module(module)
    except Exception as error:
        raise _broken(variable, module, error) from None
    if not Path(loaded.__file__).is_relative_to(folder):
        raise BadInput(f"{variable}: {module} was already imported from {loaded.__file__}; start a new process")
    return loaded


def _broken(variable: str, module: str, error: Exception) -> BadInput:
    return BadInput(f"{variable}: {module} cannot be imported ({type(error).__name__}: {error})")


def _forget(alias: str) -> None:
    for name in [name for name in sys.modules if name == alias or name.startswith(f"{alias}.")]:
        del sys.modules[name]
