"""What a front forwards of its logs and calls, where the operator wants it: JSON on stderr, OpenTelemetry.

Stands in the place of the recorder and the reports, which know nothing of it.
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
    """An exporter, if there is a collector."""
    if settings.otlp_endpoint is None:
        return None
    # With an HTTP client, which a front has no other use for.
    from supervisor.front.telemetry.otlp_exporter import Exporter

    return Exporter(settings.otlp_endpoint, settings.otlp_headers)


class ExportedRecorder(Recorder):
    """A recorder whose records are exported too."""

    def __init__(self, root: Path, limits: Retention, exporter: Exporter) -> None:
        super().__init__(root, limits)
        self._exporter = exporter

    def take(self, record: Record) -> None:
        """A line has come."""
        super().take(record)
        self._exporter.record(record)

    def take_reports(self, reports: Sequence[Report]) -> None:
        """Calls have ended."""
        super().take_reports(reports)
        for report in reports:
            if report.version and platform_lines.is_quiet(report):  # the others have come as records
                self._exporter.record(platform_lines.of_call(report))


class ForwardedReports(Reports):
    """Reports as the settings want them: as text or JSON, exported or not."""

    def __init__(
        self, settings: FrontSettings, keep: Callable[[Sequence[Report]], None], exporter: Exporter | None
    ) -> None:
        form = json_of if settings.log_format == "json" else line_of
        super().__init__(settings.call_reports, keep=keep, line_of=form)
        self._exporter = exporter

    def begin(self, space: str, function: str, call_id: str, headers: Sequence[tuple[str, str]]) -> None:
        """A call has come to a function that is there."""
        if self._exporter is not None:
            self._exporter.begin(space, function, call_id, headers)

    def take(self, report: Report) -> None:
        """A call has ended."""
        super().take(report)
        # Without a version it reached no function: anybody could fill the collector with those.
        if self._exporter is not None and report.version:
            self._exporter.call(report)


def json_of(report: Report) -> str:
    """A report as an object a line, times in seconds and memory in bytes."""
    fields = report._asdict()
    fields["outcome"] = report.outcome.value
    head = {
        "timestamp": timestamp_of(fields.pop("at")),
        "level": TABLE[report.outcome].level,
        "logger": "cellblock.report",
    }
    return json.dumps({**head, **fields}) + "\n"
