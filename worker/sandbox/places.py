"""Where the function's code is: a fixed path in a cell with a root of its own, elsewhere the warden's choice.

It is state of the process: a worker has one function, and the lock-down sets the path once, before anything
looks at the tenant's files.
"""

HANDLER_FILE = "handler.py"
# Read as ``places.function_dir`` each time, for it may change after the reader was imported.
function_dir = "/function"


def handler_path() -> str:
    """The path of the module with the entry point."""
    return function_dir + "/" + HANDLER_FILE
