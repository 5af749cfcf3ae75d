"""What a function logs: a record of ``logging`` is one entry on our streams; imported with ``logging``.

The pages promise that ``log.setLevel(logging.INFO)`` is all an author has to do; without a handler of
ours Python's last resort would print nothing below WARNING.
"""

import logging
import sys
from typing import Any

from . import capture

_LEVELS = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
)
_emit_text = logging.StreamHandler.emit


class _Handler(logging.StreamHandler):
    """Writes to whatever ``sys.stderr`` is at that moment, as logging's own last resort does."""

    def __init__(self) -> None:
        logging.Handler.__init__(self, logging.NOTSET)

    @property
    def stream(self):  # type: ignore[no-untyped-def,override]
        return sys.stderr


def _emit(handler: Any, record: logging.LogRecord) -> None:
    """``StreamHandler.emit``: on one of our streams a record is one entry, whoever made the handler."""
    descriptor = capture.descriptor_of(handler.stream)
    if not descriptor or handler.terminator != "\n":
        _emit_text(handler, record)
        return
    try:
        capture.put_entry(handler.format(record), level_of(record.levelno), descriptor)
    except RecursionError:
        raise
    except Exception:
        handler.handleError(record)


def level_of(number: int) -> str:
    """The log's word for a level of ``logging``."""
    for least, name in _LEVELS:
        if number >= least:
            return name
    return "debug"


def install() -> None:
    """A root handler on stderr, and every other stream handler's records whole."""
    root = logging.getLogger()
    root.handlers[:] = []
    handler = _Handler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    logging.StreamHandler.emit = _emit  # type: ignore[method-assign]
    logging.captureWarnings(False)
    logging.raiseExceptions = False
