"""A plugin of pytest for the guest: a failure is told where it happens.

A run takes an hour, and pytest itself says at its end what failed.
"""

from __future__ import annotations

import pytest


class Teller:
    """Hears of each step of each test."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The step is over."""
        if report.failed:
            self._reporter.write_line(f"\n{report.nodeid}, {report.when}, {report.duration:.1f} s")
            self._reporter.write_line(report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Once there is somebody who writes."""
    config.pluginmanager.register(Teller(config.pluginmanager.getplugin("terminalreporter")))
