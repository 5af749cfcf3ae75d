"""Expected failures of a command: each is one sentence and an exit code."""

from __future__ import annotations

OK = 0
REFUSED = 1  # the server or the function said no
USAGE = 2  # the command was called wrongly, or a local file cannot be used
UNREACHABLE = 3  # nobody answered, or not in time
INTERRUPTED = 130  # as a shell reports Ctrl-C


class CommandFailure(Exception):
    """An expected failure; ``main`` prints ``message`` as one line on stderr and ends with ``exit_code``."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def usage(message: str) -> CommandFailure:
    """The command line or a local file is at fault."""
    return CommandFailure(message, USAGE)


def refused(message: str) -> CommandFailure:
    """The server or the function answered, with a no."""
    return CommandFailure(message, REFUSED)


def unreachable(message: str) -> CommandFailure:
    """The server did not answer."""
    return CommandFailure(message, UNREACHABLE)
