"""What the platform itself says in a function's log, in words.  Pure."""

from __future__ import annotations

from supervisor.front.outcome.outcomes import TABLE, Outcome
from supervisor.front.outcome.reports import MIB, Report
from supervisor.logs import LEVELS, Level, Record
from supervisor.logs.log_record import NS_PER_SECOND, REPORT

_LEVELS: dict[str, Level] = {level: level for level in LEVELS}
# What a call that did not fail comes to, as the store has it; its report is shown to who asks.
QUIET: dict[Outcome, bytes] = {
    outcome: outcome.value.encode() for outcome, verdict in TABLE.items() if verdict.level == "info"
}


_READY = (
    b"%x %b %b report outcome=%b status=%d duration_ms=%.3f queue_ms=%.3f init_ms=%.3f exec_ms=%.3f "
    b"cpu_ms=%.3f peak_mib=%.1f"
)


def of_call(report: Report) -> Record:
    """The one record of a call that reached its function: what it came to, and what it took.

    Where it got no answer of the function's, its caller's message follows: the place of a timeout, the
    peak of a memory kill, the signal of a crash.
    """
    text = (
        f"{REPORT}{report.outcome.value} status={report.status} "
        f"duration_ms={report.total_s * 1e3:.3f} queue_ms={report.queue_s * 1e3:.3f} "
        f"init_ms={report.init_s * 1e3:.3f} exec_ms={report.exec_s * 1e3:.3f} "
        f"cpu_ms={report.cpu_s * 1e3:.3f} peak_mib={report.peak_bytes / MIB:.1f}"
    )
    return Record(
        report.space,
        report.function,
        report.version,
        "" if report.instance == "-" else report.instance,
        report.call_id,
        int(report.at * NS_PER_SECOND),
        "platform",
        _LEVELS[TABLE[report.outcome].level],
        f"{text}: {report.message}" if report.message else text,
    )


def is_quiet(report: Report) -> bool:
    """Whether its call did not fail."""
    return report.outcome in QUIET and not report.message


def ready(report: Report) -> tuple[int, bytes]:
    """``of_call`` of one in ``QUIET`` without a message: its time, and the rest of its line in the store.

    Made of bytes at once: there is one for each call.  An instance and a call id have no character that
    would have to be escaped (``calls.CALL_ID``).
    """
    instance = b"" if report.instance == "-" else report.instance.encode()
    return int(report.at * NS_PER_SECOND), _READY % (
        report.version, instance, report.call_id.encode(), QUIET[report.outcome], report.status,
        report.total_s * 1e3, report.queue_s * 1e3, report.init_s * 1e3, report.exec_s * 1e3,
        report.cpu_s * 1e3, report.peak_bytes / MIB,
    )  # fmt: skip


def of_a_limit(what: str, memory_mib: int, peak_bytes: int) -> str:
    """An instance has met a limit: which, and what comes of it."""
    peak = f", it had {peak_bytes / MIB:.0f} MiB at its peak" if peak_bytes else ""
    limit = f" of {memory_mib} MiB{peak}" if what == "memory" else ""
    return f"the instance met its limit {what}{limit}; it ends after the calls that it has"


def of_no_memory(memory_mib: int, peak_bytes: int) -> str:
    """An instance was ended for its memory."""
    peak = f", it had {peak_bytes / MIB:.0f} MiB at its peak" if peak_bytes else ""
    return f"the instance ran out of memory and was ended: its limit is {memory_mib} MiB{peak}"


def of_start(ready_s: float, import_us: int) -> str:
    """A cold start; the time of the import is the instance's own word."""
    return f"instance started: ready_ms={ready_s * 1e3:.3f} import_ms={import_us / 1e3:.3f}"
