"""What is done to a module once somebody imports it: a function that does not should not pay for it."""

import importlib.machinery
import sys
from typing import Any, Callable, Dict


class _Finder:
    """Finds what somebody waits for as anybody would, and says so once it is imported."""

    def __init__(self) -> None:
        self.waiting: Dict[str, Callable[[Any], None]] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        tell = self.waiting.pop(name, None)
        if tell is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                tell(module)

            loader.exec_module = exec_module
        return spec


_finder = _Finder()


def once_imported(name: str, change: Callable[[Any], None]) -> None:
    """``change(module)`` now, or when somebody imports it.

    The modules that this is for are large, or have Python code run in every child of a fork:
    a function that does not use them should not pay for that in each of its processes.
    """
    if name in sys.modules:
        change(sys.modules[name])
        return
    _finder.waiting[name] = change
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)  # type: ignore[arg-type]


def forget(name: str) -> None:
    """Nobody waits for that name any more: another module has it now."""
    _finder.waiting.pop(name, None)
