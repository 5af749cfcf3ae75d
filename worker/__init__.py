"""The part of Cellblock that runs in cells.  It uses Python 3.9 syntax, msgpack, werkzeug and nothing else.

Not here: everything outside a cell (``supervisor``), and the package that authors import (``function``).

Reading order: ``wire`` and ``logwire`` (the frames between a front and a cell), ``message_fields`` and
``message_table`` (how the messages of all other channels are declared and checked), ``zygote_messages`` and
``setup_messages`` (the warden with a zygote, and with a cell), ``zygote`` (imports ahead and clones cells),
``interpreter_hooks`` (what it changes in the interpreter), ``cell_process`` (pid 1, and the worker until the
import), ``setup_socket`` (their socket to the warden), ``_syscalls`` (system calls that Python lacks).  Then
the rooms in the order in which a cell enters them: ``sandbox`` (lock-down), ``imports`` (the handler),
``serve`` (calls), ``fresh`` (a process for each call), ``answer`` (what a handler returned or raised),
``capture`` (what it printed).  ``standins`` are packages that functions of the original platform import.
"""

import os

# The folder of this package, which has another name in cells (``_cellblock``).
PACKAGE_FOLDER = os.path.dirname(os.path.abspath(__file__))
