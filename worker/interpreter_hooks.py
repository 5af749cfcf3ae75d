"""Installs everything that a worker changes in the interpreter, before there is tenant code.

What each change does is in its own module.  A change to a module that many functions never import waits until
somebody imports that module: nothing here may import ``threading``, ``logging`` or ``asyncio``.
"""

import functools
from typing import Any

from .answer import own_frames, tracebacks
from .capture import output_capture
from .imports import matplotlib_fonts
from .imports.import_hooks import once_imported
from .serve import limit_watch, thread_owners


def install() -> None:
    """Make all changes, now or when the module in question is imported."""
    own_frames.install()
    output_capture.install()
    tracebacks.install()
    thread_owners.watch()
    for name, install_in in (
        ("logging", "install"), ("logging.handlers", "install_in_handlers"),
        ("loguru._handler", "install_in_loguru"), ("structlog._base", "install_in_structlog"),
    ):  # fmt: skip
        once_imported(name, functools.partial(_log_records, install_in))
    once_imported("threading", _watch_threading)
    for name in ("os", "subprocess", "_posixsubprocess"):
        once_imported(name, limit_watch.watch)
    once_imported("matplotlib", matplotlib_fonts.put)


def _log_records(install_in: str, module: Any) -> None:
    from .capture import log_records  # it imports ``logging``

    getattr(log_records, install_in)(module)


def _watch_threading(threading: Any) -> None:
    thread_owners.watch_threading(threading)
    tracebacks.watch_threading(threading)
    limit_watch.watch(threading)
