"""The interpreter as ``python handler.py`` has it: a zygote's own command line is no author's business.

Done once, by the zygote: it costs no cell anything.
"""

import re
import sys
from collections import namedtuple
from typing import Any

HANDLER = "/function/handler.py"
# What a command line of ``python handler.py`` leaves as it is.  Ours is isolated for the zygote's own sake:
# a child of the function's is not.
AS_PLAIN = {
    "ignore_environment": 0, "isolated": 0, "no_site": 0, "no_user_site": 0, "safe_path": False,
    "utf8_mode": 0,
}  # fmt: skip


def as_plain() -> None:
    """``sys.argv``, its flags, and the builtins that ``site`` brings."""
    # Under -S it is a module like any other.  Before the flags say otherwise: it would read the host's
    # ``.pth`` files, whose code would be in every cell.
    import site

    name_program(HANDLER)
    sys.flags = _flags()  # type: ignore[misc]
    sys._xoptions.clear()
    site.setquit()
    site.setcopyright()
    site.sethelper()
    main = sys.modules["__main__"]
    for name in [name for name in vars(main) if not name.startswith("__")]:
        delattr(main, name)


def name_program(handler: str) -> None:
    """``python HANDLER``, where a program looks for its own command line."""
    sys.argv[:] = [handler]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = [sys.executable, handler]


def _flags() -> Any:
    """``sys.flags``, of whose type nobody can make another: a tuple with the same names.

    ``subprocess`` and ``multiprocessing`` make a child's command line of them, and ``asyncio`` asks them
    whether the environment counts.
    """
    real = sys.flags
    names = re.findall(r"(\w+)=", repr(real))
    made = namedtuple("flags", names)  # type: ignore[misc]
    made.__module__ = "sys"
    for name in dir(real):
        if not name.startswith("_") and not hasattr(made, name):
            setattr(made, name, getattr(real, name))  # those that are in no repr
    made.__repr__ = _shown  # type: ignore[method-assign]
    return made(*(AS_PLAIN.get(name, getattr(real, name)) for name in names))


def _shown(flags: Any) -> str:
    return "sys.flags(%s)" % ", ".join("%s=%r" % pair for pair in zip(flags._fields, flags))
