"""Forwards a front's logs and calls where the operator wants them: as JSON on stderr, to a collector.

These classes take the place of the recorder and the reports, which know nothing of forwarding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.front.logs.recorder import Recorder
from supervisor.front.outcome import platform_lines
from supervisor.front.outcome.outcomes import TABLE
from supervisor.front.outcome.reports import Report, Reports, line_of
from supervisor.logs import Record, Retention
from supervisor.server_log import timestamp_of
from supervisor.settings.front_settings import FrontSettings

if TYPE_CHECKING:
    from supervisor.front.telemetry.otlp_exporter import Exporter


def exporter_of(settings: FrontSettings) -> Exporter | None:
    """The exporter to the collector of the settings; None without one."""
    if settings.otlp_endpoint is None:
        return None
    # Imported here, for it brings an HTTP client, which a front has no other use for.
    from supervisor.front.telemetry.otlp_exporter import Exporter

    return Exporter(settings.otlp_endpoint, settings.otlp_headers)


class ExportingRecorder(Recorder):
    """A recorder that exports its records too."""

    def __init__(self, root: Path, limits: Retention, exporter: Exporter) -> None:
        super().__init__(root, limits)
        self._exporter = exporter

    def take(self, record: Record) -> Record | None:
        """Record a line, and export what was recorded."""
        recorded = super().take(record)
        if recorded is not None:
            self._exporter.record(recorded)
        return recorded

    def take_reports(self, reports: Sequence[Report]) -> None:
        """Record a batch of calls that have ended, and export those that left no record."""
        super().take_reports(reports)
        for report in reports:
            if report.version and platform_lines.is_quiet(report):  # the others came through ``take``
                self._exporter.record(platform_lines.of_call(report))


def recorder_of(root: Path, limits: Retention, exporter: Exporter | None) -> Recorder:
    """A recorder that exports its records, if there is an exporter."""
    return ExportingRecorder(root, limits, exporter) if exporter else Recorder(root, limits)


class ForwardingReports(Reports):
    """Reports written as text or JSON, and exported if there is an exporter."""

    def __init__(
        self, settings: FrontSettings, keep: Callable[[Sequence[Report]], None], exporter: Exporter | None
    ) -> None:
        form = json_of if settings.log_format == "json" else line_of
        super().__init__(settings.call_reports, keep=keep, line_of=form)
        self._exporter = exporter
        if exporter is not None:
            self.on_begin = exporter.begin

    def take(self, report: Report) -> None:
        """Report a call that has ended, and export it."""
        super().take(report)
        # A call without a version reached no function: anybody could fill the collector with such calls.
        if self._exporter is not None and report.version:
            self._exporter.call(report)


def json_of(report: Report) -> str:
    """A report as one JSON object on a line, with times in seconds and memory in bytes."""
    fields = report._asdict()
    fields["outcome"] = report.outcome.value
    head = {
        "timestamp": timestamp_of(fields.pop("at")),
        "level": TABLE[report.outcome].level,
        "logger": "cellblock.report",
    }
    return json.dumps({**head, **fields}) + "\n"
