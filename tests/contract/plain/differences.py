"""The stated differences between plain Python and a cell; docs/functions.md has the same table.

A program of the suite that shows one names it, and says what comes instead.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """In words: what plain Python does, what a function does, and why."""

    plain: str
    function: str
    why: str


DIFFERENCES: dict[str, Difference] = {
    "levels without handlers": Difference(
        "Where no handler was set up, records below WARNING are hidden.",
        "They are written, if their logger's level lets them through.",
        "`log.setLevel(logging.INFO)` is all that the original product's page asks for.",
    ),
    "exit": Difference(
        "`exit()`, `os._exit()`, `os.abort()` or a signal that kills ends the program.",
        "It ends the call, and the log says where. The next call is served.",
        "A server outlives a request.",
    ),
    "crashes": Difference(
        "A crash says nothing, unless `faulthandler` is enabled.",
        "It is enabled: the stack of a crash is in the log.",
        "Nobody can attach a debugger to an instance.",
    ),
    "tasks": Difference(
        "The current task is `handle` itself.",
        "It is a task of the platform's, which awaits `handle`; each call that runs has one.",
        "One loop serves all calls of an instance.",
    ),
    "advice": Difference(
        "What looks like a mistake and is none for Python goes unsaid.",
        "A list or a coroutine as `body`, or a dot too many in an import, is told with what to write.",
        "A message should end the search.",
    ),
    "answers": Difference(
        "`json.dumps` raises a TypeError for what JSON cannot carry; `str` takes a generator.",
        "The call is a 502 whose message names the place.",
        "It is found after `handle` has returned, where no code of yours stands.",
    ),
    "the bundle is read-only": Difference(
        "A program can write beside its own files.",
        "`/function` is read-only, as all but `/tmp` and `/dev/shm` is.",
        "Instances share it, and a call must not change what the next one runs.",
    ),
    "the network": Difference(
        "Any socket can be made.",
        "Without `network = host` there are no internet sockets, not even on loopback, and the log says so.",
        "What cannot be reached cannot be attacked.",
    ),
    "names": Difference(
        "User, home and host are the machine's.",
        "They are `cell`, `/tmp` and `cell`.",
        "A function knows nothing of the machine that it runs on.",
    ),
    "text that is not UTF-8": Difference(
        "A lone surrogate goes to stdout as the byte that it stands for.",
        "It is written escaped, such as `\\udc80`.",
        "A log is text.",
    ),
}
