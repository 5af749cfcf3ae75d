"""The server's own log on stderr: lines for people, or an object a line for programs (``log_format``)."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]
# Something that goes on failing is logged this often.
COMPLAIN_EVERY_S = 60.0
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """``{"timestamp", "level", "logger", "message"}``, and ``exception`` where there is one; ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the record."""
        entry = {
            "timestamp": timestamp_of(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class Complaint:
    """A warning about something that may fail again and again: logged at most every COMPLAIN_EVERY_S."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged_at = -COMPLAIN_EVERY_S

    def warn(self, message: str, *args: object) -> None:
        """Log the warning, unless one was logged a short time ago."""
        now = time.monotonic()
        if now - self._logged_at >= COMPLAIN_EVERY_S:
            self._logged_at = now
            self._log.warning(message, *args)


def formatter_of(log_format: LogFormat) -> logging.Formatter:
    """How a line is made."""
    return JsonFormatter() if log_format == "json" else logging.Formatter(TEXT)


def configure(level: str, log_format: LogFormat) -> None:
    """All of this process's log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_of(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def timestamp_of(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the microsecond."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
