"""Makes the interpreter look as after ``python handler.py``, and hides the zygote's own command line.

The zygote does it once, so it costs no cell anything.
"""

import re
import sys
from collections import namedtuple
from typing import Any

from ..sandbox import places

# The flags that the command line ``python handler.py`` leaves at their defaults.  The zygote's interpreter is
# isolated for its own safety; child processes of a function need not be.
PLAIN_FLAGS = {
    "ignore_environment": 0, "isolated": 0, "no_site": 0, "no_user_site": 0, "safe_path": False,
    "utf8_mode": 0,
}  # fmt: skip


def as_plain() -> None:
    """Set ``sys.argv`` and ``sys.flags``, and add the builtins of ``site``."""
    # Imported while the flags still say -S: else it would read the host's ``.pth`` files, and their code
    # would be in every cell.
    import site

    name_program(places.handler_path())
    sys.flags = _flags()  # type: ignore[misc]
    sys._xoptions.clear()
    site.setquit()
    site.setcopyright()
    site.sethelper()
    main = sys.modules["__main__"]
    for name in [name for name in vars(main) if not name.startswith("__")]:
        delattr(main, name)


def name_program(handler: str) -> None:
    """Have the command line say ``python HANDLER``, wherever a program looks for it."""
    sys.argv[:] = [handler]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = [sys.executable, handler]


def _flags() -> Any:
    """A stand-in for ``sys.flags``: a tuple with the same names, for its own type cannot be instantiated.

    ``subprocess`` and ``multiprocessing`` derive a child's command line from the flags, and ``asyncio`` asks
    them whether the environment counts.
    """
    real = sys.flags
    names = re.findall(r"(\w+)=", repr(real))
    made = namedtuple("flags", names)  # type: ignore[misc]
    made.__module__ = "sys"
    for name in dir(real):
        if not name.startswith("_") and not hasattr(made, name):
            setattr(made, name, getattr(real, name))  # flags that the repr leaves out
    made.__repr__ = _shown  # type: ignore[method-assign]
    return made(*(PLAIN_FLAGS.get(name, getattr(real, name)) for name in names))


def _shown(flags: Any) -> str:
    return "sys.flags(%s)" % ", ".join("%s=%r" % pair for pair in zip(flags._fields, flags))
