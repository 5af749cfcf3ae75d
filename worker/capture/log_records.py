"""What a function logs: a record of ``logging`` is one entry on our streams; imported with ``logging``.

The pages promise that ``log.setLevel(logging.INFO)`` is all an author has to do: where nobody made a handler
Python's last resort shows every record that its logger lets through, and not from WARNING on.  All else is as
in plain Python: the root has no handler until the author makes one.
"""

import functools
import logging
import weakref
from typing import Any

from ..answer import tracebacks
from ..serve import current_call
from . import output_capture

_LEVELS = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)
_METHODS = {
    "debug": "debug", "warn": "warning", "warning": "warning", "error": "error", "err": "error",
    "exception": "error", "critical": "critical", "fatal": "critical",
}  # fmt: skip


def level_of(number: Any) -> str:
    """The log's word for a level of ``logging``; a record that was made by hand may have any."""
    if type(number) is int:
        for least, name in _LEVELS:
            if number >= least:
                return name
    return "debug"


def install(_: Any) -> None:
    """Whoever made the handler, what it writes to our streams is an entry of its record's level."""
    # What a library that was imported ahead has put there is not the author's.
    logging.getLogger().handlers[:] = []
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.NOTSET)
    handle = logging.Handler.handle
    handled = _at_its_level(handle, lambda record: level_of(record.levelno))
    # By the file of the code on the stack logging tells where it was called.
    handled.__code__ = handled.__code__.replace(co_filename=handle.__code__.co_filename)
    tracebacks.HIDDEN.add(handled.__code__)
    logging.Handler.handle = handled  # type: ignore[method-assign]


def install_in_handlers(module: Any) -> None:
    """A record that goes through a queue is still of the call that logged it, whoever listens."""
    of: "weakref.WeakKeyDictionary[logging.LogRecord, current_call.Call]" = weakref.WeakKeyDictionary()
    prepare, handle = module.QueueHandler.prepare, module.QueueListener.handle

    @functools.wraps(prepare)
    def prepared(self: Any, record: Any) -> Any:
        record = prepare(self, record)
        of[record] = current_call.carried()
        return record

    @functools.wraps(handle)
    def handled(self: Any, record: Any) -> Any:
        before = current_call.carried()
        current_call.enter(of.get(record, before))
        try:
            return handle(self, record)
        finally:
            current_call.enter(before)

    module.QueueHandler.prepare, module.QueueListener.handle = prepared, handled


def install_in_loguru(module: Any) -> None:
    """The same for loguru, whose handlers are its own; one that ``enqueue`` made writes text."""
    module.Handler.emit = _at_its_level(module.Handler.emit, lambda record: level_of(record["level"].no))


def install_in_structlog(module: Any) -> None:
    """The same for structlog where it writes by itself: the method's name is the level's."""
    module.BoundLoggerBase._proxy_to_logger = _at_its_level(
        module.BoundLoggerBase._proxy_to_logger, lambda name: _METHODS.get(name, "info")
    )


def _at_its_level(write: Any, level: Any) -> Any:
    @functools.wraps(write)
    def written(self: Any, what: Any, *arguments: Any, **keywords: Any) -> Any:
        token = output_capture.level.set(level(what))
        try:
            return write(self, what, *arguments, **keywords)
        finally:
            output_capture.level.reset(token)

    return written
