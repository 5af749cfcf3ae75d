"""The platform's own lines in a function's log.  Pure."""

from __future__ import annotations

from supervisor.front.outcome.outcomes import TABLE, Outcome
from supervisor.front.outcome.reports import Report
from supervisor.function_limits import MIB
from supervisor.logs import LEVELS, Level, Record
from supervisor.logs.log_record import NS_PER_SECOND, REPORT

_LEVELS: dict[str, Level] = {level: level for level in LEVELS}
# The outcomes of calls that did not fail, as the store writes them; their reports are shown on request only.
QUIET: dict[Outcome, bytes] = {
    outcome: outcome.value.encode() for outcome, verdict in TABLE.items() if verdict.level == "info"
}

_READY = (
    b"%x %b %b report outcome=%b status=%d duration_ms=%.3f queue_ms=%.3f init_ms=%.3f exec_ms=%.3f "
    b"cpu_ms=%.3f peak_mib=%.1f"
)


def of_call(report: Report) -> Record:
    """The one record of a call that reached its function: its outcome, its times and its memory.

    If the platform answered, its message to the caller follows: the place of a timeout, the peak of a memory
    kill, the signal of a crash.
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
    """Whether the call did not fail."""
    return report.outcome in QUIET and not report.message


def ready(report: Report) -> tuple[int, bytes]:
    """``of_call`` of a quiet report: its time, and the rest of its line in the store.

    The line is made as bytes, because each call has one.  An instance's name and a call id have no character
    to escape (``invoke.call_ids.CALL_ID``).
    """
    instance = b"" if report.instance == "-" else report.instance.encode()
    return int(report.at * NS_PER_SECOND), _READY % (
        report.version, instance, report.call_id.encode(), QUIET[report.outcome], report.status,
        report.total_s * 1e3, report.queue_s * 1e3, report.init_s * 1e3, report.exec_s * 1e3,
        report.cpu_s * 1e3, report.peak_bytes / MIB,
    )  # fmt: skip


def of_a_limit(what: str, memory_mib: int, peak_bytes: int) -> str:
    """An instance has met the limit ``what``."""
    peak = f", it had {peak_bytes / MIB:.0f} MiB at its peak" if peak_bytes else ""
    limit = f" of {memory_mib} MiB{peak}" if what == "memory" else ""
    return f"the instance met its limit {what}{limit}; it ends after the calls that it has"


def of_no_memory(memory_mib: int, peak_bytes: int) -> str:
    """An instance was ended for its memory."""
    peak = f", it had {peak_bytes / MIB:.0f} MiB at its peak" if peak_bytes else ""
    return f"the instance ran out of memory and was ended: its limit is {memory_mib} MiB{peak}"


def of_start(ready_s: float, import_us: int) -> str:
    """A cold start; the instance itself has told the time of the import."""
    return f"instance started: ready_ms={ready_s * 1e3:.3f} import_ms={import_us / 1e3:.3f}"
