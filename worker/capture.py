"""What a function prints and logs, on the two log pipes, without any set-up by the author."""

import io
import logging
import sys
import warnings


class _CurrentStderr(logging.StreamHandler):
    """Writes to whatever ``sys.stderr`` is at that moment, as logging's own last resort does."""

    def __init__(self) -> None:
        logging.Handler.__init__(self, logging.NOTSET)

    @property
    def stream(self):  # type: ignore[no-untyped-def,override]
        return sys.stderr


def install() -> None:
    """Line-buffered streams over descriptors 1 and 2, and a root log handler on stderr.

    The pages promise that ``log.setLevel(logging.INFO)`` is all an author has to do; without a
    handler of ours Python's last resort would print nothing below WARNING.
    """
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(descriptor, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw),
            "utf-8",
            errors="backslashreplace",
            line_buffering=True,
            write_through=True,
        )
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)
    root = logging.getLogger()
    root.handlers[:] = []
    handler = _CurrentStderr()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    logging.captureWarnings(False)
    logging.raiseExceptions = False
    warnings.simplefilter("default")


def flush() -> None:
    """Push out what the function left in its buffers; a stream it closed or replaced is its own affair."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S110 - a tenant's stream may raise anything; the answer matters more
            pass
