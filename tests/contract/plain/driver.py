"""Plain Python: imports ``handler.py`` from the working folder, calls ``handle``, notes what came of it.

Started as ``python driver.py ASKED NOTED``: the calls as JSON, and the file for what came, a line of JSON for
each call.  What the program writes goes where it would anyway.
"""

import sys

before = set(sys.modules)

import contextvars  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

FOLDER = os.getcwd()


def answer_of(result):
    """What a returned dict stands for: status, type and body as they would be sent."""
    body = result.get("body")
    if body is None:
        kind, sent = "", ""
    elif isinstance(body, (bytes, bytearray, memoryview)):
        kind, sent = "application/octet-stream", bytes(body).decode("latin-1")
    elif isinstance(body, dict):
        kind, sent = "application/json", json.loads(json.dumps(body))
    else:
        kind, sent = "text/plain; charset=utf-8", str(body)
    return {"status": result.get("status_code", 200), "type": kind, "body": sent}


def own_frames(trace):
    """The traceback from the first line of the program on: whoever called it is not of interest."""
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(FOLDER):
        trace = trace.tb_next
    return trace


def raised(error):
    """Where and what, as the caller of a function hears it; Python prints the traceback by itself."""
    if isinstance(error, SyntaxError):
        return {"raised": "SyntaxError", "info": error.msg, "line": error.lineno, "code": error.text.strip()}
    own = innermost = own_frames(error.__traceback__)
    while innermost is not None:
        if innermost.tb_frame.f_code.co_filename.startswith(FOLDER):
            own = innermost
        innermost = innermost.tb_next
    line = own.tb_lineno if own else 0
    if own:
        with open(own.tb_frame.f_code.co_filename) as file:
            code = file.read().splitlines()[line - 1].strip()
    return {"raised": type(error).__name__, "info": str(error), "line": line, "code": code if own else ""}


def main(asked, noted):
    sys.argv[:] = [os.path.join(FOLDER, "handler.py")]
    from function import testing

    sys.path[0] = FOLDER
    with open(asked) as file:
        calls = json.load(file)
    with open("handler.py") as file:
        serve = serving(file.read())
    # What only this driver has imported shall not hide a module of the program's that has the same name.
    for name in set(sys.modules) - before:
        first = name.partition(".")[0]
        if first != "function" and {first, first + ".py"} & set(os.listdir()):
            del sys.modules[name]
    with open(noted, "a") as notes:
        run(calls, testing, serve, lambda came: (notes.write(json.dumps(came) + "\n"), notes.flush()))


def serving(text):
    """What awaits a coroutine: one loop for all calls, there before the import."""
    if "async def" not in text:
        return None
    import asyncio

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete


def run(calls, testing, serve, note):
    try:
        import handler
    except BaseException as error:
        note(raised(error))
        report(error)
        return
    handle = getattr(handler, "handle", None) or handler.handle_async
    for call in calls:
        with testing.invocation():
            try:
                result = contextvars.copy_context().run(handle, testing.event(**call))
                if serve and hasattr(result, "__await__"):
                    result = serve(result)
                note(answer_of(result or {}))
            except BaseException as error:
                note(raised(error))
                report(error)


def report(error):
    """As the interpreter does with what nobody catches; exit() ends the program."""
    if isinstance(error, SystemExit):
        raise error
    sys.excepthook(type(error), error.with_traceback(own_frames(error.__traceback__)), error.__traceback__)


if __name__ == "__main__":
    main(*sys.argv[1:])
