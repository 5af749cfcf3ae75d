"""What a front is told of the server's settings: at its start, and over its link when they change.

They come from the warden, which has validated them (``supervisor.settings.declarations``); here they get
their types back. A front imports no pydantic for that, and has in it no more than it uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from supervisor.function_limits import DEFAULT_CEILINGS
from supervisor.server_log import LogFormat

# How far ``functions_domain`` is from the API (``supervisor.domains``).  ``shared``: the sandbox stays.
# ``site``: apart from the API, but functions are one site among themselves.  ``suffix``: each space is one.
Reach = Literal["shared", "site", "suffix"]

# What a front acts on while it runs.
LIVE = frozenset(
    {
        "ceilings", "defaults", "drain_seconds", "freeze_seconds", "function_logs", "grace_seconds",
        "init_seconds", "log_level", "queue_depth", "queue_seconds", "recycle_calls", "recycle_seconds",
        "text_content_type",
    }
)  # fmt: skip


class Derived:
    """What both sides' settings come to."""

    data_dir: Path
    ceilings: dict[str, Any]

    @property
    def all_ceilings(self) -> dict[str, Any]:
        """The operator's ceilings over the built-in ones."""
        return {**DEFAULT_CEILINGS, **self.ceilings}

    @property
    def front_dir(self) -> Path:
        """What the fronts own: the store, the bundles and the sealing key."""
        return self.data_dir / "front"


@dataclass(frozen=True)
class FrontSettings(Derived):
    """The settings that fronts use, in the units of ``declarations``; ``defaults`` are those named."""

    workers: int
    data_dir: Path
    text_content_type: str
    functions_domain: str | None
    functions_reach: Reach
    defaults: dict[str, Any]
    ceilings: dict[str, Any]
    queue_seconds: float
    queue_depth: int
    init_seconds: float
    grace_seconds: float
    freeze_seconds: float
    recycle_calls: int
    recycle_seconds: float
    head_seconds: float
    body_seconds: float
    keepalive_seconds: float
    unread_seconds: float
    connections_most: int
    connections_per_address: int
    requests_max_bytes: int
    drain_seconds: float
    bundle_max_bytes: int
    bundle_max_entries: int
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: LogFormat
    otlp_endpoint: str | None
    otlp_headers: dict[str, str]
    call_reports: bool
    function_logs: bool
    log_keep_seconds: float
    log_function_max_bytes: int
    log_total_max_bytes: int
    log_reports_max_bytes: int

    @property
    def logs_dir(self) -> Path:
        """The functions' logs (``supervisor.logs``), which every front writes and reads."""
        return self.front_dir / "logs"


FIELDS = frozenset(field.name for field in fields(FrontSettings))


def at_start(values: Mapping[str, Any]) -> FrontSettings:
    """The settings that a front starts with; ``values`` are ``reloading.for_a_new_front``'s."""
    return FrontSettings(**{**values, "data_dir": Path(values["data_dir"])})


def again(settings: FrontSettings, values: Mapping[str, Any]) -> FrontSettings:
    """A front's settings after it was told ``values``, which are ``reloading.for_fronts``'s."""
    return replace(settings, **{name: values[name] for name in LIVE})
