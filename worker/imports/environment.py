"""Applies a function's ``env`` to a process that started long before the function was known.

Only a function with an ``env`` imports this module.  A variable that programs or their C library read
whenever they need it works as it is.  A variable that is read once, when a process starts, is applied here as
the start would have done it.  A variable that can no longer be applied counts for child processes only; the
function's log says so, once an instance.
"""

import os
import sys
import time
from typing import Callable, Dict, List

from .. import _syscalls as sys_
from ..capture import output_capture

LOCALE = frozenset(("LANG", "LC_ALL", "LC_CTYPE"))
# The variables that malloc reads at the start, and their parameters of mallopt(3).
MALLOC = {
    "MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_TOP_PAD_": -2, "MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_MMAP_MAX_": -4,
    "MALLOC_PERTURB_": -6, "MALLOC_ARENA_TEST": -7, "MALLOC_ARENA_MAX": -8,
}  # fmt: skip
# In the order in which OpenBLAS asks for them.
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
# The platform sets these for every cell, so that no import starts a thread.
OUR_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Variables that only a start can apply, each with the values that would change nothing.
TOO_LATE: Dict[str, tuple] = {  # type: ignore[type-arg]
    "GLIBC_TUNABLES": (),
    "PYTHONBREAKPOINT": (), "PYTHONDEBUG": (), "PYTHONDEVMODE": (), "PYTHONHASHSEED": ("random",),
    "PYTHONHOME": (), "PYTHONINSPECT": (), "PYTHONIOENCODING": ("utf-8", "utf8", "UTF-8", "UTF8"),
    "PYTHONMALLOC": (), "PYTHONMALLOCSTATS": (), "PYTHONNODEBUGRANGES": (), "PYTHONOPTIMIZE": (),
    "PYTHONPERFSUPPORT": (), "PYTHONPLATLIBDIR": (), "PYTHONPROFILEIMPORTTIME": (), "PYTHONSAFEPATH": (),
    "PYTHONUTF8": ("1",), "PYTHONVERBOSE": (), "PYTHON_CPU_COUNT": (), "PYTHON_PERF_JIT_SUPPORT": (),
}  # fmt: skip


def take(env: Dict[str, str]) -> None:
    """Put the variables into ``os.environ`` and apply them; to be called before the author's import."""
    inherited = os.environ.get("PYTHONPATH", "")
    if "OMP_NUM_THREADS" in env:
        for name in OUR_THREADS:
            os.environ.pop(name, None)  # else ours would win over the author's
    os.environ.update(env)
    late = [name for name, harmless in TOO_LATE.items() if env.get(name) and env[name] not in harmless]
    if "TZ" in env:
        time.tzset()
    if not LOCALE.isdisjoint(env):
        _set_locale()
    for name in ACTIONS.keys() & env.keys():
        if env[name]:
            ACTIONS[name](env[name])
    if inherited and env.get("PYTHONPATH"):
        # Child processes of the function have to find the libraries too.
        os.environ["PYTHONPATH"] = env["PYTHONPATH"] + os.pathsep + inherited
    late += _malloc(env)
    late += _threads(env)
    if late:
        output_capture.put_entry(_too_late_message(late), "warning")


def _too_late_message(late: List[str]) -> str:
    return (
        "env: %s %s read when a process starts, and the process of a function has started before it gets the "
        "function: no effect here, only in child processes"
        % (", ".join(sorted(late)), "is" if len(late) == 1 else "are")
    )


def _set_locale() -> None:
    """Set the locale as Python does at its start: a missing one is "C", and "C" means UTF-8 mode."""
    import _locale

    try:
        found = _locale.setlocale(_locale.LC_CTYPE, "")
    except _locale.Error:
        found = _locale.setlocale(_locale.LC_CTYPE, "C")
    if found in ("C", "POSIX"):
        sys.flags = sys.flags._replace(utf8_mode=1)  # type: ignore[misc,attr-defined]
        if not os.environ.get("LC_ALL"):  # PEP 538
            os.environ["LC_CTYPE"] = _locale.setlocale(_locale.LC_CTYPE, "C.UTF-8")


def _search(value: str) -> None:
    """PYTHONPATH comes before the standard library, as after a start."""
    sys.path[:0] = [os.path.abspath(entry) for entry in value.split(os.pathsep) if entry]


def _warn(value: str) -> None:
    import warnings

    sys.warnoptions[:] = value.split(",")
    warnings._processoptions(sys.warnoptions)  # type: ignore[attr-defined]


def _trace_memory(value: str) -> None:
    import tracemalloc

    if value.isdigit() and int(value):
        tracemalloc.start(int(value))


def _show_crashes(_: str) -> None:
    import faulthandler

    faulthandler.enable(file=2)


def _limit_digits(value: str) -> None:
    if value.isdigit() and hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(int(value))


ACTIONS: Dict[str, Callable[[str], None]] = {
    "PYTHONPATH": _search,
    "PYTHONWARNINGS": _warn,
    "PYTHONTRACEMALLOC": _trace_memory,
    "PYTHONFAULTHANDLER": _show_crashes,
    "PYTHONINTMAXSTRDIGITS": _limit_digits,
}


def _malloc(env: Dict[str, str]) -> List[str]:
    """Apply malloc's variables; returns the names of those that malloc does not accept."""
    return [
        name
        for name, number in MALLOC.items()
        if env.get(name) and not (env[name].isdigit() and sys_.mallopt(number, int(env[name])))
    ]


def _threads(env: Dict[str, str]) -> List[str]:
    """Set the threads of libraries that are imported already; returns the variables that come too late.

    The other libraries read the environment when they are imported.
    """
    late = []
    name = next((name for name in BLAS_THREADS if env.get(name)), "")
    if name and "numpy" in sys.modules and not _set_blas_threads(env[name]):
        late.append(name)
    if env.get("NUMEXPR_NUM_THREADS") and "numexpr" in sys.modules:
        late.append("NUMEXPR_NUM_THREADS")
    return late


def _set_blas_threads(value: str) -> bool:
    if not value.isdigit() or not int(value):
        return False
    with open("/proc/self/maps") as maps:
        loaded = {line.split(None, 5)[5].rstrip() for line in maps if "openblas" in line}
    is_set = [sys_.set_blas_threads(path, int(value)) for path in loaded]  # a list: every library is told
    return bool(is_set) and all(is_set)
