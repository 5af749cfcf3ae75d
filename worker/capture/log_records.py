"""Makes each record of ``logging``, loguru or structlog one entry of the log, with the record's level.

``worker.interpreter_hooks`` imports this module when somebody imports one of these libraries.

The pages promise that ``log.setLevel(logging.INFO)`` is all an author has to do.  So where there is no
handler, Python's last resort shows every record that its logger lets through, not only WARNING and above.
All else is as in plain Python: the root logger has no handler until the author makes one.
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
    """The log's word for a level of ``logging``; "debug" for a hand-made record with anything else in it."""
    if type(number) is int:
        for least, name in _LEVELS:
            if number >= least:
                return name
    return "debug"


def install(_: Any) -> None:
    """Have the text of every handler on our streams be an entry of its record's level."""
    # A library that was imported ahead may have added handlers, which are not the author's.
    logging.getLogger().handlers[:] = []
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.NOTSET)
    handle = logging.Handler.handle
    handled = _at_its_level(handle, lambda record: level_of(record.levelno))
    # ``logging`` finds its caller by skipping frames of its own file, so ours has to look like one of them.
    handled.__code__ = handled.__code__.replace(co_filename=handle.__code__.co_filename)
    tracebacks.HIDDEN_CODE.add(handled.__code__)
    logging.Handler.handle = handled  # type: ignore[method-assign]


def install_in_handlers(module: Any) -> None:
    """Have a record that goes through a queue belong to the call that logged it, whoever listens."""
    owners: "weakref.WeakKeyDictionary[logging.LogRecord, current_call.Owner]" = weakref.WeakKeyDictionary()
    prepare, handle = module.QueueHandler.prepare, module.QueueListener.handle

    @functools.wraps(prepare)
    def prepared(self: Any, record: Any) -> Any:
        record = prepare(self, record)
        owners[record] = current_call.owner()
        return record

    @functools.wraps(handle)
    def handled(self: Any, record: Any) -> Any:
        before = current_call.owner()
        current_call.enter(owners.get(record, before))
        try:
            return handle(self, record)
        finally:
            current_call.enter(before)

    module.QueueHandler.prepare, module.QueueListener.handle = prepared, handled


def install_in_loguru(module: Any) -> None:
    """The same for loguru, which has handlers of its own; one with ``enqueue`` writes plain text."""
    module.Handler.emit = _at_its_level(module.Handler.emit, lambda record: level_of(record["level"].no))


def install_in_structlog(module: Any) -> None:
    """The same for structlog where it writes by itself: there the method's name is the level's name."""
    module.BoundLoggerBase._proxy_to_logger = _at_its_level(
        module.BoundLoggerBase._proxy_to_logger, lambda name: _METHODS.get(name, "info")
    )


def _at_its_level(write: Any, level: Any) -> Any:
    @functools.wraps(write)
    def written(self: Any, what: Any, *arguments: Any, **keywords: Any) -> Any:
        token = output_capture.record_level.set(level(what))
        try:
            return write(self, what, *arguments, **keywords)
        finally:
            output_capture.record_level.reset(token)

    return written
