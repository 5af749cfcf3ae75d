"""What a front and the warden say to each other: one table of messages, each field with its type and bounds.

A front reads from the network and may have been taken over: what is not in the table is no message of ours,
and costs it the link (``supervisor.datagrams``).  What a function may have at most is not a matter of form:
``supervisor.warden.leases.lease_ceilings`` cuts it.  The warden's words are checked by the same table.

A front says ``do``, the warden ``is``.  ``ticket`` is a front's own number for a request, and every request
that has one gets one answer that carries it.  ``supervisor.link_records`` has what the fields may hold.
"""

# No ``from __future__ import annotations``: the table reads the annotations.

from collections.abc import Sequence
from typing import Annotated, Any

from supervisor.bundles.imported_names import NAME_MOST_CHARS, NAMES_MOST
from supervisor.front_start import RUNTIMES_MOST
from supervisor.link_records import (
    AtLeastOne,
    CallsRow,
    Cause,
    CellEnd,
    CellLimits,
    CellName,
    CellRow,
    ChangeKind,
    Count,
    FrontRow,
    FunctionRow,
    InstanceHistory,
    InstanceRow,
    Label,
    LabelOrAll,
    Layer,
    NumberRow,
    Pid,
    Reason,
    Row,
    Words,
)
from supervisor.settings import front_settings
from worker.message_fields import (
    ListBound,
    OptionalBound,
    PatternBound,
    Record,
    RecordBound,
    RowBound,
    TextBound,
    WordBound,
)
from worker.message_table import DO, IS, MessageTable, TableRow

TO_WARDEN, TO_FRONT = DO, IS

PIPES = 4  # that come with a cell: request, reply, stdout, stderr; and one more where calls share nothing
LAYERS_MOST = 100
# Rows of a page.
ROWS_MOST = 4096
_RUNTIME = PatternBound(r"[a-z0-9.-]{1,64}")
# What a survey is for: ``/activity`` (a row for each function, instance and cell) or ``/metrics``.
_Purpose = Annotated[str, WordBound("activity", "metrics")]
_FRONT_ROWS = (FunctionRow, InstanceRow, CallsRow, NumberRow)


# ---- a front says -----------------------------------------------------------------------------


class LeaseRequest(Record):
    """A cell for one version: the answer is Leased or LeaseRefusal.

    ``mode`` is serve, keep (for nobody's call: it takes no room from others) or check (it compiles only).
    ``imports`` is what the bundle says that it imports.
    """

    mode: Annotated[str, WordBound("serve", "keep", "check")]
    space: Label
    name: Label
    version: Count
    digest: Annotated[str, PatternBound("[0-9a-f]{64}")]
    runtime: Annotated[str, _RUNTIME]
    network: Annotated[str, WordBound("none", "host")]
    imports: Annotated[list[str], ListBound(TextBound(NAME_MOST_CHARS, 1), NAMES_MOST)]
    max_instances: AtLeastOne
    tie: CellLimits
    ticket: Count = 0


class ReturnCell(Record):
    """An idle cell that another front may have, with its PIPES."""

    cell: CellName
    memory: InstanceHistory


class KillCell(Record):
    """A leased cell is to end now."""

    cell: CellName
    cause: Cause


class LeaveCell(Record):
    """A leased cell ends by itself, or is killed a moment later; its place is free now."""

    cell: CellName
    cause: Cause


class SignalCell(Record):
    """For the processes of a leased cell."""

    cell: CellName
    name: Annotated[str, WordBound("look", "dump", "freeze", "thaw")]


class NoSpare(Record):
    """To SpareWanted: no instance of that function has been idle for long."""

    ask: Count


class ChangeRequest(Record):
    """Something in the store changed: ChangeDone comes once every front knows."""

    what: ChangeKind
    space: Label
    name: LabelOrAll  # "" where the change is not one function's
    ticket: Count = 0


class ChangeKnown(Record):
    """To Changed: what this front knew of it is forgotten."""

    epoch: Count


class TokenKnown(Record):
    """To TokenTold: this front knows the administrator by that token alone."""

    epoch: Count


class CountRequest(Record):
    """How many instances a version has, and whether it starts: the answer is InstanceCount."""

    space: Label
    name: Label
    version: Count
    ticket: Count = 0


class StartState(Record):
    """How the start of an instance goes (``supervisor.warden.leases.start_states``)."""

    cell: CellName
    space: Label
    name: Label
    version: Count
    state: Annotated[str, WordBound("importing", "ready", "failed")]
    reason: Reason


class RenewRequest(Record):
    """Every zygote is to be replaced: the answer is RenewStarted."""

    ticket: Count = 0


class SurveyRequest(Record):
    """What every front knows of a space's functions ("": of all): SurveyPages, then SurveyDone."""

    space: LabelOrAll
    ticket: Count = 0
    purpose: _Purpose = "activity"


class SurveyRows(Record):
    """To SurveyAsked: some of the rows; the last one says how many were left out."""

    number: Count
    front: Pid
    rows: Annotated[Sequence[FrontRow], ListBound(RowBound(*_FRONT_ROWS), ROWS_MOST)]
    is_last: bool
    left_out: Count


# ---- the warden says --------------------------------------------------------------------------


class Leased(Record):
    """A cell, with its PIPES and one more where it ``is_fresh``; ``memory`` is what a former holder knew."""

    ticket: Count
    cell: CellName
    memory: Annotated[InstanceHistory | None, OptionalBound(RecordBound(InstanceHistory))]


class LeaseRefusal(Record):
    """No cell.  ``code``: its bundle is not whole on disk.

    ``is_importing``: another front has all instances that there may be, and imports one.
    """

    ticket: Count
    reason: Annotated[str, WordBound("limit", "capacity", "broken", "code")]
    message: Words
    is_importing: bool


class ChangeDone(Record):
    """Every other front knows."""

    ticket: Count


class InstanceCount(Record):
    """``ready_version`` is the version that was asked for if a start of it succeeded, ``failed_version`` if
    its last start failed, for ``failed_reason``; else 0.
    """

    ticket: Count
    replicas: Count
    ready_version: Count
    failed_version: Count
    failed_reason: Reason


class RenewStarted(Record):
    """The runtimes whose zygotes are being replaced."""

    ticket: Count
    runtimes: Annotated[list[str], ListBound(_RUNTIME, RUNTIMES_MOST)]


class SurveyPage(Record):
    """Some rows of a survey; ``front`` is the pid of the front that they are from, 0 for the warden."""

    ticket: Count
    front: Pid
    rows: Annotated[Sequence[Row], ListBound(RowBound(*_FRONT_ROWS, CellRow), ROWS_MOST)]


class SurveyDone(Record):
    """``fronts`` have told all in time, ``missing`` have not."""

    ticket: Count
    fronts: Count
    missing: Count
    left_out: Count


class CellEnded(Record):
    """A cell that this front held has been reaped."""

    cell: CellName
    end: CellEnd


class LimitMet(Record):
    """A cell of this front met a limit; ``what`` "" is none: its memory has a new peak."""

    cell: CellName
    what: Annotated[str, WordBound("", "memory", "processes")]
    peak_bytes: Count


class Changed(Record):
    """Something in the store changed; the answer is ChangeKnown."""

    epoch: Count
    what: ChangeKind
    space: Label
    name: LabelOrAll


class SpareWanted(Record):
    """Another front has a call: return an instance that has been idle for a while, or say NoSpare."""

    ask: Count
    space: Label
    name: Label
    version: Count


class ReturnIdle(Record):
    """Another front may have no more instances of this version: return an idle one, now or soon."""

    space: Label
    name: Label
    version: Count


class MakeRoom(Record):
    """So many cells of a space ("": of any) are to end: others wait for them."""

    space: LabelOrAll
    number: AtLeastOne


class Layers(Record):
    """What is really in force; at the start, and whenever it changes."""

    layers: Annotated[list[Layer], ListBound(RecordBound(Layer), LAYERS_MOST)]


class SettingsTold(Record):
    """The settings that a front acts on while it runs (``front_settings.LIVE``); at the start and later."""

    settings: Annotated[dict[str, Any], front_settings.AFTER_CHANGE]


class TokenTold(Record):
    """The administrator's token, by its digest; any other is void from now on.  TokenKnown answers."""

    epoch: Count
    sha256: Annotated[str, PatternBound("[0-9a-f]{64}")]


class SurveyAsked(Record):
    """Tell what there is of a space's functions ("": of all), as SurveyRows."""

    number: Count
    space: LabelOrAll
    purpose: _Purpose = "activity"


# What a front waits for, by its ticket.
TicketAnswer = Leased | LeaseRefusal | ChangeDone | InstanceCount | RenewStarted | SurveyDone
Ticketed = LeaseRequest | ChangeRequest | CountRequest | RenewRequest | SurveyRequest

LINK = MessageTable(
    TableRow(TO_WARDEN, "lease", LeaseRequest),
    TableRow(TO_WARDEN, "return", ReturnCell, descriptors=PIPES),
    TableRow(TO_WARDEN, "kill", KillCell),
    TableRow(TO_WARDEN, "leave", LeaveCell),
    TableRow(TO_WARDEN, "signal", SignalCell),
    TableRow(TO_WARDEN, "none", NoSpare),
    TableRow(TO_WARDEN, "changed", ChangeRequest),
    TableRow(TO_WARDEN, "ack", ChangeKnown),
    TableRow(TO_WARDEN, "token", TokenKnown),
    TableRow(TO_WARDEN, "count", CountRequest),
    TableRow(TO_WARDEN, "start", StartState),
    TableRow(TO_WARDEN, "renew", RenewRequest),
    TableRow(TO_WARDEN, "survey", SurveyRequest),
    TableRow(TO_WARDEN, "page", SurveyRows),
    TableRow(TO_FRONT, "leased", Leased, descriptors=PIPES + 1),
    TableRow(TO_FRONT, "refused", LeaseRefusal),
    TableRow(TO_FRONT, "done", ChangeDone),
    TableRow(TO_FRONT, "count", InstanceCount),
    TableRow(TO_FRONT, "renewed", RenewStarted),
    TableRow(TO_FRONT, "page", SurveyPage),
    TableRow(TO_FRONT, "surveyed", SurveyDone),
    TableRow(TO_FRONT, "ended", CellEnded),
    TableRow(TO_FRONT, "met", LimitMet),
    TableRow(TO_FRONT, "changed", Changed),
    TableRow(TO_FRONT, "spare", SpareWanted),
    TableRow(TO_FRONT, "reclaim", ReturnIdle),
    TableRow(TO_FRONT, "room", MakeRoom),
    TableRow(TO_FRONT, "layers", Layers),
    TableRow(TO_FRONT, "settings", SettingsTold),
    TableRow(TO_FRONT, "token", TokenTold),
    TableRow(TO_FRONT, "survey", SurveyAsked),
)
