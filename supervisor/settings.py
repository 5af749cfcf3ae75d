"""Every setting of the server, once: name, unit, default, bounds and a sentence.

Where the values come from is ``supervisor.sources``.  The fronts import neither: the warden tells them what
they use (``supervisor.told``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from supervisor.limits import DEFAULT_CEILINGS
from supervisor.options import Options
from supervisor.serverlog import LogFormat


def _default_data_dir() -> Path:
    return Path("/var/lib/cellblock") if os.geteuid() == 0 else Path.home() / ".local/share/cellblock"


class Settings(BaseModel):
    """The server's settings."""

    # Built at its first use: the warden uses only what ``supervisor.sources`` makes of it.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    bind: str = Field("127.0.0.1:8080", description="address and port of the HTTP server, HOST:PORT")
    workers: int = Field(2, ge=1, le=256, description="front processes")
    data_dir: Path = Field(default_factory=_default_data_dir, description="where everything durable lives")
    runtimes_dir: Path = Field(
        Path(sys.prefix) / "share/cellblock/runtimes",
        description="the functions' library environments, one folder per runtime",
    )
    default_runtime: str | None = Field(
        None, description="runtime of template python3-http; default: that of the server's own interpreter"
    )
    admin_token: SecretStr | None = Field(
        None, description="the administrator's bearer token; generated once and kept in data_dir if not given"
    )
    user: str | None = Field(
        None,
        description="user the fronts run as, name or number; default: cellblock if it exists, else 64199",
    )
    cell_uid_base: int | None = Field(
        None, ge=100_000, le=4_000_000_000, description="first of the user ids that cells run under"
    )
    min_tier: Literal["auto", "A", "A-user", "B", "C"] = Field(
        "auto",
        description="least containment to start with, see docs/containment.md; "
        "auto is A-user, and on loopback the best there is",
    )
    insecure_dev: bool = Field(
        False, description="run functions without any containment, on loopback only; for development"
    )
    text_content_type: str = Field(
        "text/plain; charset=utf-8", max_length=200, description="media type of a text answer without one"
    )
    defaults: Options = Field(
        default_factory=Options, description="options a function has unless it names them"
    )
    ceilings: dict[str, Any] = Field(
        default_factory=dict, description="what a function's options may not pass"
    )
    preload: tuple[str, ...] = Field(
        ("numpy", "pandas", "requests"),
        description="libraries imported ahead for functions that import one of them, "
        "where they are installed",
    )
    huge_pages: bool = Field(
        True,
        description="functions' allocations of 2 MiB and more get pages of that size, "
        "where the host allows it and the server runs as root",
    )
    blank_cells: int = Field(
        4,
        ge=0,
        le=256,
        description="blank cells kept ready for the default runtime: "
        "so many with nothing imported, with the standard library, and with the libraries of `preload`",
    )
    blank_cells_most: int = Field(
        16, ge=0, le=256, description="blank cells kept at most, of each runtime, after many were asked for"
    )
    max_cells: int = Field(256, ge=1, le=16_384, description="cells at once, of all functions")
    queue_seconds: float = Field(
        10.0, gt=0, le=600, description="longest wait of a call for an instance, seconds"
    )
    queue_depth: int = Field(
        1000, ge=1, le=100_000, description="calls that may wait for one function in one front"
    )
    init_seconds: float = Field(
        30.0, gt=0, le=600, description="longest import of a function's module, seconds"
    )
    grace_seconds: float = Field(
        0.5, ge=0.05, le=60, description="from a call's limit to the end of its instance, seconds"
    )
    freeze_seconds: float = Field(
        2.0, gt=0, le=86_400, description="an instance that has been idle so long is frozen, seconds"
    )
    recycle_calls: int = Field(
        100_000, ge=1, le=1 << 32, description="calls after which an instance makes way for a new one"
    )
    recycle_seconds: float = Field(
        86_400.0, gt=0, le=1e9, description="age at which an instance makes way for a new one, seconds"
    )
    body_seconds: float = Field(
        60.0, gt=0, le=3600, description="longest wait for a caller to send its body, seconds"
    )
    keepalive_seconds: float = Field(
        75.0,
        gt=0,
        le=86_400,
        description="a connection without a request for so long is closed, seconds",
    )
    unread_seconds: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="a connection whose caller reads nothing of an answer for so long is ended, seconds",
    )
    drain_seconds: float = Field(
        30.0, gt=0, le=3600, description="how long SIGTERM waits for running calls, seconds"
    )
    bundle_max_bytes: int = Field(50 << 20, ge=1, le=1 << 32, description="unpacked size of a bundle, bytes")
    bundle_max_entries: int = Field(10_000, ge=1, le=1_000_000, description="files and folders of a bundle")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the server's own log"
    )
    log_format: LogFormat = Field("text", description="lines for people, or an object a line for programs")
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        max_length=2000,
        description="an OpenTelemetry collector (OTLP over HTTP) that gets functions' logs and a span a call",
    )
    otlp_headers: dict[str, str] = Field(
        default_factory=dict, description="headers for the collector, such as its credential"
    )
    call_reports: bool = Field(
        False, description="write a line for each call, what it took and came to, to the server's stderr"
    )
    function_logs: bool = Field(
        False,
        description="write the functions' log lines to the server's stderr too, where nothing bounds them",
    )
    log_keep_seconds: float = Field(
        7 * 86_400.0, ge=60, le=1e9, description="age at which the functions' logs are deleted, seconds"
    )
    log_function_max_bytes: int = Field(
        256 << 20, ge=1 << 20, le=1 << 40, description="logs kept of one function, the latest, bytes"
    )
    log_total_max_bytes: int = Field(
        4 << 30,
        ge=1 << 20,
        le=1 << 44,
        description="logs kept of all functions; who has most loses first, bytes",
    )

    @field_validator("bind")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        is_number = port.isascii() and port.isdigit()
        if not colon or not host or not is_number or int(port) > 65_535:
            raise ValueError("must be HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:8080")
        return value

    @field_validator("ceilings", mode="after")
    @classmethod
    def _known_ceilings(cls, value: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(value) - set(DEFAULT_CEILINGS))
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}; known: {', '.join(sorted(DEFAULT_CEILINGS))}")
        # The same types and bounds as an option's: a variable of the environment is text.
        return {**DEFAULT_CEILINGS, **Options(**value).named()}

    @property
    def all_ceilings(self) -> dict[str, Any]:
        """The operator's ceilings over the built-in ones."""
        return {**DEFAULT_CEILINGS, **self.ceilings}

    @property
    def front_dir(self) -> Path:
        """What the fronts own: the store, the bundles and the sealing key."""
        return self.data_dir / "front"

    @property
    def host_and_port(self) -> tuple[str, int]:
        """``bind`` taken apart; an IPv6 host without its brackets."""
        host, _, port = self.bind.rpartition(":")
        return host.strip("[]"), int(port)
