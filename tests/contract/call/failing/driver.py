"""What plain Python says of each program: ``python -I -S driver.py LIBRARIES FOLDER KIND NAMES``.

It imports ``handler`` from FOLDER, calls it for each name and prints, as JSON, what the interpreter's own hook
writes of what came out, from the author's first frame on, and the place of it.
"""

import asyncio
import io
import json
import sys


class Request:
    """All that the programs need of one."""

    def __init__(self, name):
        self.path = "/" + name
        self.body = b""


def own(trace, folder):
    """From the first entry of a file in the folder on; None where there is none."""
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(folder):
        trace = trace.tb_next
    return trace


def told(error, folder):
    """Type, text, line and traceback."""
    trace = own(BaseException.__dict__["__traceback__"].__get__(error), folder)
    BaseException.__dict__["__traceback__"].__set__(error, trace)
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(folder):
            line = trace.tb_lineno
        trace = trace.tb_next
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        hook = sys.__excepthook__ if issubclass(type(error), SystemExit) else sys.excepthook
        hook(type(error), error, BaseException.__dict__["__traceback__"].__get__(error))
        text = sys.stderr.getvalue()
    finally:
        sys.stderr = stderr
    return [type.__dict__["__name__"].__get__(type(error)), line, text]


def imported(folder):
    """What comes out of the import itself."""
    before = set(sys.modules)
    sys.path[:0] = [folder]
    try:
        import handler  # noqa: F401
    except BaseException as error:
        return told(error, folder + "/")
    finally:
        del sys.path[0]
        for name in set(sys.modules) - before:
            if hasattr(sys.modules[name], "__file__") and str(sys.modules[name].__file__).startswith(folder):
                del sys.modules[name]
        sys.modules.pop("handler", None)
    return None


def main():
    libraries, folder, kind, names = sys.argv[1:]
    sys.path += [libraries]
    if kind == "import":
        sys.stdout.write(json.dumps({name: imported(folder + "/" + name) for name in names.split(",")}))
        return
    sys.path[:0] = [folder]
    import handler

    # One loop for all calls, as an instance has it.
    loop = asyncio.new_event_loop() if kind == "async" else None
    found = {}
    for name in names.split(","):
        request = Request(name)
        try:
            result = handler.handle(request)
            if loop is not None:
                loop.run_until_complete(result)
        except BaseException as error:
            found[name] = told(error, folder + "/")
        else:
            found[name] = None
    sys.stdout.write(json.dumps(found))


main()
