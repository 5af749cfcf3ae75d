"""What a function logs: a record of ``logging`` is one entry on our streams; imported with ``logging``.

The pages promise that ``log.setLevel(logging.INFO)`` is all an author has to do: where nobody made a handler
Python's last resort shows every record that its logger lets through, and not from WARNING on.  All else is as
in plain Python: the root has no handler until the author makes one.
"""

import functools
import logging
from typing import Any

from worker import capture, tracebacks

_LEVELS = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)


def level_of(number: Any) -> str:
    """The log's word for a level of ``logging``; a record that was made by hand may have any."""
    if type(number) is int:
        for least, name in _LEVELS:
            if number >= least:
                return name
    return "debug"


def install() -> None:
    """Whoever made the handler, what it writes to our streams is an entry of its record's level."""
    # What a library that was imported ahead has put there is not the author's.
    logging.getLogger().handlers[:] = []
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.NOTSET)
    handle = logging.Handler.handle

    @functools.wraps(handle)
    def handled(self: logging.Handler, record: logging.LogRecord) -> Any:
        token = capture.level.set(level_of(record.levelno))
        try:
            return handle(self, record)
        finally:
            capture.level.reset(token)

    # By the file of the code on the stack logging tells where it was called.
    handled.__code__ = handled.__code__.replace(co_filename=handle.__code__.co_filename)
    tracebacks.HIDDEN.add(handled.__code__)
    logging.Handler.handle = handled  # type: ignore[method-assign]


def install_in_loguru(module: Any) -> None:
    """The same for loguru, whose handlers are its own; one that ``enqueue`` made writes text."""
    emit = module.Handler.emit

    @functools.wraps(emit)
    def emitted(self: Any, record: Any, *arguments: Any, **keywords: Any) -> Any:
        token = capture.level.set(level_of(record["level"].no))
        try:
            return emit(self, record, *arguments, **keywords)
        finally:
            capture.level.reset(token)

    module.Handler.emit = emitted
