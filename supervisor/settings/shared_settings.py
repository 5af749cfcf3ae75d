"""The settings that the fronts act on, declared as in ``declarations``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from supervisor.domains import DOMAIN, DOMAIN_MAX_CHARS
from supervisor.function_limits import DEFAULT_CEILINGS
from supervisor.server_log import LogFormat

# The one entry of a field's ``metadata`` that pydantic's ``Field`` does not take.
IS_LIVE = "is_live"
EMBEDDED_STORE = "sqlite"
_NOTHING = object()


def _default_data_dir() -> Path:
    return Path("/var/lib/cellblock") if os.geteuid() == 0 else Path.home() / ".local/share/cellblock"


def setting(
    default: Any = _NOTHING,
    *,
    description: str,
    make: Callable[[], Any] | None = None,
    is_live: bool = False,
    is_shown: bool = True,
    **bounds: Any,
) -> Any:
    """A field; its ``bounds`` have the names of pydantic's ``Field``.

    A description ends in the unit.  ``make`` gives a default that is found out at the start, or that may be
    changed; a field that is not shown stays out of the repr.
    """
    metadata = {"description": description, IS_LIVE: is_live, **bounds}
    if make is not None:
        return field(default_factory=make, repr=is_shown, metadata=metadata)
    return field(default=default, repr=is_shown, metadata=metadata)


# Nothing but fields: only its subclasses have instances, and each method costs a start some time.
@dataclass(frozen=True, init=False, repr=False, eq=False)
class SharedSettings:
    """The settings that the fronts act on; ``defaults`` holds only the options that the operator named."""

    workers: int = setting(2, ge=1, le=256, description="front processes")
    data_dir: Path = setting(make=_default_data_dir, description="where everything durable lives")
    store_url: str = setting(
        EMBEDDED_STORE,
        is_shown=False,
        pattern=rf"^({EMBEDDED_STORE}|postgres(ql)?://[^\s]+)$",
        max_length=2000,
        description="`sqlite`, a file in data_dir, or a PostgreSQL database, see docs/postgresql.md",
    )
    text_content_type: str = setting(
        "text/plain; charset=utf-8",
        max_length=200,
        is_live=True,
        description="media type of a text answer without one",
    )
    functions_domain: str | None = setting(
        None,
        pattern=DOMAIN,
        max_length=DOMAIN_MAX_CHARS,
        description="gives each function an origin of its own, NAME.SPACE before this domain; another "
        "domain than the API's, see docs/browsers.md",
    )
    defaults: dict[str, Any] = setting(
        make=dict, is_live=True, description="options that a function has unless it names them"
    )
    ceilings: dict[str, Any] = setting(
        make=lambda: dict(DEFAULT_CEILINGS),
        is_live=True,
        description="the most that a function's options may be",
    )
    queue_seconds: float = setting(
        10.0,
        gt=0,
        le=600,
        is_live=True,
        description="longest wait of a call for an instance, not counting an import that it waits "
        "for, seconds",
    )
    queue_depth: int = setting(
        1000, ge=1, le=100_000, is_live=True, description="calls that may wait for one function in one front"
    )
    init_seconds: float = setting(
        30.0, gt=0, le=600, is_live=True, description="longest import of a function's module, seconds"
    )
    grace_seconds: float = setting(
        0.5,
        ge=0.05,
        le=60,
        is_live=True,
        description="from a call's limit to the end of its instance, seconds",
    )
    freeze_seconds: float = setting(
        2.0,
        gt=0,
        le=86_400,
        is_live=True,
        description="an instance that has been idle so long is frozen, seconds",
    )
    recycle_calls: int = setting(
        100_000,
        ge=1,
        le=1 << 32,
        is_live=True,
        description="calls after which an instance makes way for a new one",
    )
    recycle_seconds: float = setting(
        86_400.0,
        gt=0,
        le=1e9,
        is_live=True,
        description="age at which an instance makes way for a new one, seconds",
    )
    credential_lease: float = setting(
        60.0,
        ge=5,
        le=86_400,
        is_live=True,
        description="how long a server that cannot reach a shared store trusts the keys and tokens that it "
        "knows, seconds",
    )
    head_seconds: float = setting(
        15.0, gt=0, le=3600, description="longest wait for a caller to send a request's head, seconds"
    )
    body_seconds: float = setting(
        60.0, gt=0, le=3600, description="longest wait for a caller to send its body, seconds"
    )
    keepalive_seconds: float = setting(
        75.0,
        gt=0,
        le=86_400,
        description="a connection without a request for so long is closed, seconds",
    )
    unread_seconds: float = setting(
        30.0,
        gt=0,
        le=3600,
        description="a connection whose caller reads nothing of an answer for so long is ended, seconds",
    )
    connections_most: int = setting(
        20_000, ge=1, le=1_000_000, description="connections of one front at once"
    )
    connections_per_address: int = setting(
        10_000,
        ge=1,
        le=1_000_000,
        description="connections of one front at once from one address, or from one IPv6 network of 64 bits",
    )
    requests_max_bytes: int = setting(
        512 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="unanswered requests that one front holds; from one address at most half of it, bytes",
    )
    drain_seconds: float = setting(
        30.0, gt=0, le=3600, is_live=True, description="how long SIGTERM waits for running calls, seconds"
    )
    bundle_max_bytes: int = setting(
        50 << 20, ge=1, le=1 << 32, description="unpacked size of a bundle, bytes"
    )
    bundle_max_entries: int = setting(10_000, ge=1, le=1_000_000, description="files and folders of a bundle")
    versions_kept: int = setting(
        20,
        ge=1,
        le=10_000,
        is_live=True,
        description="versions kept of each function, the newest, and however old the active one and "
        "those that aliases name",
    )
    space_quotas: dict[str, int] = setting(
        make=dict,
        is_live=True,
        description="quotas that a new space has, by their names; see docs/quotas.md",
    )
    usage_keep_seconds: float = setting(
        400 * 86_400.0,
        ge=86_400,
        le=1e9,
        is_live=True,
        description="age at which the usage of functions is deleted, seconds",
    )
    audit_keep_seconds: float = setting(
        31_536_000.0,
        ge=60,
        le=1e9,
        description="age at which the lines of the audit are deleted, seconds",
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", is_live=True, description="the server's own log"
    )
    log_format: LogFormat = setting("text", description="lines for people, or an object a line for programs")
    otlp_endpoint: str | None = setting(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        max_length=2000,
        description="an OpenTelemetry collector (OTLP over HTTP) that gets functions' logs and a span a call",
    )
    otlp_headers: dict[str, str] = setting(
        make=dict, description="headers for the collector, such as its credential"
    )
    call_reports: bool = setting(
        False, description="write a line for each call to the server's stderr: what it took and how it ended"
    )
    request_log: Literal["off", "stderr", "file"] = setting(
        "off",
        description="a line of JSON for each request: to the server's stderr, or to files below data_dir",
    )
    request_log_max_bytes: int = setting(
        64 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="what `request_log = file` keeps, the latest, bytes",
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        description="addresses or networks of proxies whose X-Forwarded-For says who calls, see "
        "docs/deployment.md",
    )
    function_logs: bool = setting(
        False,
        is_live=True,
        description="write the functions' log lines to the server's stderr too, where nothing bounds them",
    )
    log_keep_seconds: float = setting(
        7 * 86_400.0, ge=60, le=1e9, description="age at which the functions' logs are deleted, seconds"
    )
    log_function_max_bytes: int = setting(
        256 << 20, ge=1 << 20, le=1 << 40, description="logs kept of one function, the latest, bytes"
    )
    log_total_max_bytes: int = setting(
        4 << 30,
        ge=1 << 20,
        le=1 << 44,
        description="logs kept of all functions; the function with most loses first, bytes",
    )
    log_reports_max_bytes: int = setting(
        16 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="reports kept of one function's calls, and as much again of what failed calls left, "
        "beside its own logs, bytes",
    )

    @property
    def all_ceilings(self) -> dict[str, Any]:
        """The operator's ceilings over the built-in ones."""
        return {**DEFAULT_CEILINGS, **self.ceilings}

    @property
    def shared_store(self) -> str | None:
        """The URL of the store's database, None for the file in ``front_dir``."""
        return None if self.store_url == EMBEDDED_STORE else self.store_url

    @property
    def front_dir(self) -> Path:
        """What the fronts own: the store, the bundles and the sealing key."""
        return self.data_dir / "front"
