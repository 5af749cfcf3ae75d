"""Output: print, the streams, their descriptors."""

from __future__ import annotations

from tests.contract.plain.program import Program

PROGRAMS: dict[str, str | Program] = {
    "print with sep, end and file writes just that": """
        import sys
        def handle(req):
            print("a", "b", sep="-", end="!\\n")
            print("c", file=sys.stderr)
            print()
            print("d", flush=True)
    """,
    "text without a line end is a line of its own": """
        import sys
        def handle(req):
            sys.stdout.write("no end")
            sys.stderr.write("none here")
    """,
    "bytes written to the buffers come out": """
        import sys
        def handle(req):
            sys.stdout.buffer.write(b"bytes\\n")
            sys.stdout.buffer.flush()
            sys.stderr.buffer.write("Stra\\u00dfe\\n".encode())
            sys.stderr.buffer.flush()
    """,
    "os.write to the descriptors comes out": Program(
        """
        import os
        def handle(req):
            os.write(1, b"one\\n")
            os.write(2, b"two\\n")
        """,
        loose="written by descriptor",
    ),
    "contextlib.redirect_stdout keeps what is printed": """
        import contextlib, io
        def handle(req):
            kept = io.StringIO()
            with contextlib.redirect_stdout(kept):
                print("kept")
            return {"body": kept.getvalue()}
    """,
    "pprint and sys.displayhook print": """
        import pprint, sys
        def handle(req):
            pprint.pprint({"b": [1, 2], "a": None})
            sys.displayhook(3)
    """,
    "a stream handler made in a context of redirect_stderr writes where it was sent": """
        import contextlib, io, logging
        def handle(req):
            kept = io.StringIO()
            with contextlib.redirect_stderr(kept):
                log = logging.getLogger("shop")
                log.addHandler(logging.StreamHandler())
                log.error("kept")
            return {"body": kept.getvalue()}
    """,
}
