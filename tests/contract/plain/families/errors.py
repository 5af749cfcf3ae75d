"""Errors: every way to fail, at import, in the call, beside it."""

from __future__ import annotations

from tests.contract.plain.program import Differs, Program

PROGRAMS: dict[str, str | Program] = {
    "an exception of the handler names its line": Program(
        """
        def handle(req):
            return 1 / 0
        """,
        varies=True,
        fresh=True,
    ),
    "an exception in a helper names the helper's own line": """
        def deep(value):
            return value["missing"]
        def handle(req):
            return deep({})
    """,
    "an exception in another file of the bundle shows both files": """
        import prices
        def handle(req):
            return {"body": prices.of("plum")}
        --- prices.py
        TABLE = {"pear": 2}
        def of(fruit):
            return TABLE[fruit]
    """,
    "an exception inside the standard library names the program's line": """
        import json
        def handle(req):
            return json.loads("{")
    """,
    "an exception at import ends every call": """
        TABLE = {}
        PRICE = TABLE["pear"]
        def handle(req):
            return {}
    """,
    "an import of a module that is not there names it": Program(
        """
        import no_such_module
        def handle(req):
            return {}
        """,
        varies=True,
    ),
    "an import of a name that is not there names it": """
        from json import no_such_name
        def handle(req):
            return {}
    """,
    "a syntax error in another file names the file": Program(
        """
        def handle(req):
            import broken
        --- broken.py
        def f(:
            pass
        """,
        varies=True,
    ),
    "a chain of exceptions is shown with its causes": Program(
        """
        def handle(req):
            try:
                {}["pear"]
            except KeyError as error:
                raise ValueError("no price") from error
        """,
        varies=True,
    ),
    "an exception in an except block is shown with the first": """
        def handle(req):
            try:
                {}["pear"]
            except KeyError:
                int("x")
    """,
    "raise from None hides the first": """
        def handle(req):
            try:
                {}["pear"]
            except KeyError:
                raise ValueError("no price") from None
    """,
    "an exception of one's own class has its name": """
        class OutOfPears(Exception):
            def __str__(self):
                return "none of %d left" % self.args
        def handle(req):
            raise OutOfPears(7)
    """,
    "an exception that is no Exception is one all the same": """
        class Stop(BaseException):
            pass
        def handle(req):
            raise Stop("here")
    """,
    "exit with words ends the call with them": Program(
        """
        def handle(req):
            exit("only POST")
        """,
        varies=True,
        differs=Differs(
            "exit",
            stderr='Traceback (most recent call last):\n…SystemExit: only POST\nexit() ends its call with a 500; to answer, return {"status_code": ..., "body": ...}',
        ),
    ),
    "a recursion without an end is a RecursionError": Program(
        """
        def handle(req):
            try:
                return handle(req)
            except RecursionError as error:
                raise RuntimeError("too deep") from None
        """,
        only="sync",
    ),
    "os.abort ends the process with SIGABRT": Program(
        """
        import os
        def handle(req):
            os.abort()
        """,
        differs=Differs("crashes", stderr="Fatal Python error: Aborted\n…"),
    ),
    "os._exit ends the process with its code": """
        import os
        def handle(req):
            print("before", flush=True)
            os._exit(3)
    """,
    "a signal that kills ends the process with it": """
        import os, signal
        def handle(req):
            os.kill(os.getpid(), signal.SIGKILL)
    """,
    "an exception in a thread is told on stderr and ends no call": Program(
        """
        import threading
        def work():
            raise ValueError("in the thread")
        def handle(req):
            thread = threading.Thread(target=work, name="worker")
            thread.start()
            thread.join()
            return {"body": "went on"}
        """,
        varies=True,
    ),
    "an exception in __del__ is told on stderr and ends no call": Program(
        """
        class Closing:
            def __del__(self):
                raise ValueError("in __del__")
        def handle(req):
            Closing()
            return {"body": "went on"}
        """,
        varies=True,
    ),
    "sys.exit in a thread ends the thread only": """
        import sys, threading
        def handle(req):
            thread = threading.Thread(target=sys.exit, args=("not seen",))
            thread.start()
            thread.join()
            return {"body": "went on"}
    """,
    "a failed assertion shows its words": """
        def handle(req):
            assert req.method == "GET", "only GET"
    """,
    "an exception with notes shows them": """
        def handle(req):
            error = ValueError("bad")
            if hasattr(error, "add_note"):
                error.add_note("while pricing pears")
            raise error
    """,
    "after an exit the next call is served": Program(
        """
        import sys
        count = 0
        def handle(req):
            global count
            count += 1
            if count == 1:
                sys.exit(3)
            return {"body": str(count)}
        """,
        calls=({}, {}),
        differs=Differs(
            "exit",
            answers=(
                {"raised": "SystemExit", "info": "3", "line": 7, "code": "sys.exit(3)"},
                {"status": 200, "type": "text/plain; charset=utf-8", "body": "2"},
            ),
            stderr='Traceback (most recent call last):\n…SystemExit: 3\nexit() ends its call with a 500; to answer, return {"status_code": ..., "body": ...}',
        ),
    ),
    "after a crash the next call is served by another instance": Program(
        """
        import os
        def handle(req):
            if req.body == b"end":
                os._exit(3)
            return {"body": "served"}
        """,
        calls=({"body": "end"}, {}),
        differs=Differs(
            "exit",
            answers=(
                {"ended": "code 3"},
                {"status": 200, "type": "text/plain; charset=utf-8", "body": "served"},
            ),
        ),
    ),
    "a group of exceptions is shown as one": """
        def handle(req):
            raise ExceptionGroup("two", [ValueError("one"), KeyError("other")])
    """,
    "a warning that is made an error is raised": """
        import warnings
        def handle(req):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.warn("old")
    """,
    "a __repr__ that raises in a log line stops nothing": """
        import logging
        logging.basicConfig(level=logging.INFO)
        class Broken:
            def __repr__(self):
                raise ValueError("no repr")
        def handle(req):
            logging.info("%r", Broken())
            return {"body": "went on"}
    """,
    "a generator that raises names its own line": """
        def numbers():
            yield 1
            raise ValueError("no more")
        def handle(req):
            return {"body": str(list(numbers()))}
    """,
    "sys.excepthook of the program's own is asked": """
        import sys
        def hook(kind, error, trace):
            print("hook:", kind.__name__, error, trace.tb_frame.f_code.co_name)
        sys.excepthook = hook
        def handle(req):
            raise ValueError("bad")
    """,
    "sys.unraisablehook of the program's own is asked": """
        import sys
        sys.unraisablehook = lambda what: print("hook:", what.exc_type.__name__)
        class Closing:
            def __del__(self):
                raise ValueError("in __del__")
        def handle(req):
            Closing()
    """,
    "a traceback that the program formats has its own lines only": """
        import traceback
        def handle(req):
            try:
                {}["pear"]
            except KeyError:
                return {"body": traceback.format_exc()}
    """,
    "a stack that the program prints has its own lines only": """
        import traceback
        def deep():
            traceback.print_stack()
        def handle(req):
            deep()
    """,
    "an exception that is kept and raised again is whole": Program(
        """
        kept = []
        def fail():
            raise ValueError("first")
        def handle(req):
            try:
                fail()
            except ValueError as error:
                kept.append(error)
            raise kept[0]
        """,
        calls=({}, {}),
    ),
}
