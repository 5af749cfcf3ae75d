"""How a command ends: the one place that turns an exception into a line on stderr and an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

from supervisor.cli import output
from supervisor.cli.command_errors import INTERRUPTED, OK, REFUSED, USAGE, CommandFailure
from supervisor.errors import ConfigurationError, PlatformError

OUTPUT_ERRORS = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def ended(run: Callable[[], Any]) -> int:
    """Run a command; its exit code, which is the result of ``run`` if that is a number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character must not end the command.
            stream.reconfigure(errors="backslashreplace")
    try:
        found = run()
        sys.stdout.flush()
    except CommandFailure as error:
        return _end(error.message, error.exit_code)
    except ConfigurationError as error:
        return _end(str(error), USAGE)
    except PlatformError as error:
        return _end(error.message, REFUSED)
    except KeyboardInterrupt:
        return _end("cancelled; nothing was changed", INTERRUPTED)
    except OSError as error:
        if error.errno not in OUTPUT_ERRORS:
            raise
        # Buffered output has nowhere to go, and the interpreter would try to write it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Nobody needs a message about a reader that stopped reading.
        stopped = error.errno == errno.EPIPE
        return REFUSED if stopped else _end(f"cannot write the output: {error.strerror}", USAGE)
    return found if isinstance(found, int) else OK


def _end(message: str, exit_code: int) -> int:
    # Output comes before the line on stderr, also when both go to one file.
    sys.stdout.flush()
    output.fail_line(message)
    return exit_code
