"""What a cell and the warden say to each other on the set-up socket: one table, each field with its bounds.

    pid 1  -> warden   Cloned         waits for its id maps and its cgroup
    warden -> pid 1    Surroundings   with its device nodes; pid 1 runs BUILD, the worker PREPARE
    worker -> warden   Blank          both have succeeded
    warden -> pid 1    Tie            with the function's code; pid 1 runs PLACE, the worker TIE
    worker -> warden   Tied           every layer holds; it closes its copy of the socket
    warden -> pid 1    SendSignal     once the worker has closed its copy
    pid 1  -> warden   WorkerExited   pid 1 follows it
    either -> warden   StepFailed     there will be no cell
    worker -> warden   Breached       a call succeeded that must not

Without namespaces the worker itself hears Tie, and runs all of its lock-down then.  The last step of the
lock-down closes the worker's copy of the socket, so nothing that a tenant does can speak here.  Pure; shared
with the warden.
"""

from typing import Annotated, Dict, List, NamedTuple

from .message_fields import (
    BytesBound,
    DictBound,
    IntBound,
    ListBound,
    PatternBound,
    Record,
    TextBound,
    TupleBound,
    WordBound,
)
from .message_table import DO, IS, MessageTable, TableRow

TO_CELL, TO_WARDEN = DO, IS

# Why a step failed: more of it is cut off by the cell.
REASON_MOST_CHARS = 500
EVIDENCE_MOST_CHARS = 4096
LAYERS_MOST = 100
PATH_MOST_CHARS = 4096
READABLE_MOST = 256
# A compiled seccomp program is about 4 KiB; the kernel takes no more than this.
FILTER_MOST_BYTES = 32 << 10
# The host's files about names (``supervisor.warden.jail.host_names`` bounds each of them).
NAME_FILES_MOST = 16
NAME_FILE_MOST_BYTES = 16 << 10
# Those that the warden may have sent (``worker.cell_process``).
SIGNAL_NAMES = ("look", "dump", "memory", "freeze", "thaw")

_STEP = PatternBound("[a-z0-9-]{1,40}")
_Path = Annotated[str, TextBound(PATH_MOST_CHARS)]
_AtLeastOne = Annotated[int, IntBound(1)]
_Id = Annotated[int, IntBound(0, (1 << 32) - 1)]


# ---- the warden says --------------------------------------------------------------------------


class Surroundings(Record):
    """What a cell is told before it belongs to a function.

    ``filter`` is the compiled seccomp program.  ``outsider`` is a process that the cell must not reach, as
    it must not reach these ``namespaces`` and this ``keyring``: the self-test tries.  ``devices`` is the
    file system of the device nodes that are this cell's alone, 0 where they are the host's.
    ``guards_metadata``: in the host's network, the addresses where clouds give credentials are refused.
    """

    filter: Annotated[bytes, BytesBound(FILTER_MOST_BYTES)]
    outsider: _Id
    namespaces: Annotated[Dict[str, str], DictBound(TextBound(32), TextBound(64), 16)]
    keyring: _Id
    guards_metadata: bool
    devices: Annotated[int, IntBound()]


class Tie(Record):
    """The function that a blank cell becomes.

    ``readable`` and ``uid`` are for cells without namespaces.  ``is_fresh``: no process of it may serve
    two calls.  ``names`` are files about the names of other hosts, where it has the host's network.
    """

    has_code: bool
    memory_bytes: _AtLeastOne
    tmp_bytes: _AtLeastOne
    open_files: _AtLeastOne
    processes: _AtLeastOne
    function_dir: _Path
    tmp_dir: _Path
    readable: Annotated[List[str], ListBound(TextBound(PATH_MOST_CHARS), READABLE_MOST)]
    uid: _Id
    is_fresh: bool
    names: Annotated[
        Dict[str, bytes],
        DictBound(PatternBound("[a-z.]{1,32}"), BytesBound(NAME_FILE_MOST_BYTES), NAME_FILES_MOST),
    ]


class SendSignal(Record):
    """Pid 1 is to send a signal into the cell."""

    name: Annotated[str, WordBound(*SIGNAL_NAMES)]


# ---- the cell says ----------------------------------------------------------------------------


class Cloned(Record):
    """Pid 1 runs and waits."""


class Blank(Record):
    """The cell is complete but for its function."""


class ProvenLayer(NamedTuple):
    """A layer of containment as the cell has found it; ``evidence`` is what it saw, or why there is none."""

    layer: Annotated[str, PatternBound("[a-z0-9-]{1,40}")]
    status: Annotated[str, WordBound("enforced", "degraded", "absent")]
    evidence: Annotated[str, TextBound(EVIDENCE_MOST_CHARS)]


class Tied(Record):
    """The lock-down is complete and has proven itself."""

    proof: Annotated[List[ProvenLayer], ListBound(TupleBound(ProvenLayer), LAYERS_MOST)]


class WorkerExited(Record):
    """By which signal or with which code: the cell's reason to be is gone."""

    signal: Annotated[int, IntBound(0, 255)]
    code: Annotated[int, IntBound(0, 255)]


class StepFailed(Record):
    """A step of the lock-down."""

    step: Annotated[str, _STEP]
    reason: Annotated[str, TextBound(REASON_MOST_CHARS)]


class Breached(Record):
    """The self-test did what must be impossible: the server may not go on."""

    step: Annotated[str, _STEP]
    reason: Annotated[str, TextBound(REASON_MOST_CHARS)]


SETUP = MessageTable(
    TableRow(TO_CELL, "build", Surroundings, descriptors=1),
    TableRow(TO_CELL, "tie", Tie, descriptors=1),
    TableRow(TO_CELL, "signal", SendSignal),
    TableRow(TO_WARDEN, "cloned", Cloned),
    TableRow(TO_WARDEN, "blank", Blank),
    TableRow(TO_WARDEN, "tied", Tied),
    TableRow(TO_WARDEN, "exited", WorkerExited),
    TableRow(TO_WARDEN, "failed", StepFailed),
    TableRow(TO_WARDEN, "breached", Breached),
)
