"""Changes a module once somebody imports it, so that functions which never do pay nothing."""

import importlib.machinery
import sys
from typing import Any, Callable, Dict


class _Finder:
    """Finds a module that a change waits for as Python would, and makes the change after the import."""

    def __init__(self) -> None:
        # By the module's name: the change that waits for its import.
        self.waiting: Dict[str, Callable[[Any], None]] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        change = self.waiting.pop(name, None)
        if change is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                change(module)

            loader.exec_module = exec_module
        return spec


# The one of this process; ``sys.meta_path`` is the process's too.
_finder = _Finder()


def once_imported(name: str, change: Callable[[Any], None]) -> None:
    """Call ``change(module)`` now, or when somebody imports the module of that name.

    It is for modules that are large, or that have Python run code in every child of a fork: a function
    without them should not pay for that in each of its processes.
    """
    if name in sys.modules:
        change(sys.modules[name])
        return
    _finder.waiting[name] = change
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)  # type: ignore[arg-type]


def forget(name: str) -> None:
    """Drop the change for a name that now means another module."""
    _finder.waiting.pop(name, None)
