"""The part of Cellblock that runs in cells: Python 3.9 syntax, msgpack and werkzeug at most.

Not here: what happens outside a cell (``supervisor.warden``).

Reading order: ``wire`` and ``logwire`` (what a front and a cell say to each other), ``message_fields`` and
``message_table`` (how the messages of all other channels are declared and checked), ``zygote_messages`` and
``setup_messages`` (what the warden says to a zygote and to a cell, and hears), ``zygote`` (clones cells),
``cell_process`` (pid 1 and the worker until the import), ``setup_socket`` (their socket to the warden); then
the rooms in the order in which a cell enters them: ``sandbox``, ``imports``, ``serve``, ``fresh``,
``answer``, ``capture``.
"""

import os

# Where this package is, whatever it is called there.
FOLDER = os.path.dirname(os.path.abspath(__file__))
