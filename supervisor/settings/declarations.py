"""Every setting of the server, declared once: name, type, unit, default, bounds and a sentence.

The class says who acts on a setting: a front (``SharedSettings``) or the warden alone (``Settings``).
``is_live`` says that SIGHUP changes it in a running server.  A setting that is not live is built into
something that lives as long as the server: a socket, a user id, a folder, the number of processes.

All other lists are made of these: what the plain sources read (``plain_sources``), what pydantic checks
(``validated``), what a front is told (``front_settings``), what a second reading changes (``reloading``), and
the table that a test compares with docs/settings.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from supervisor import domains
from supervisor.domains import DOMAIN, DOMAIN_MAX_CHARS
from supervisor.function_limits import DEFAULT_CEILINGS
from supervisor.server_log import LogFormat

# The variables that settings may come from begin with it.
PREFIX = "CELLBLOCK_"
# Of the command line, and the one that names the settings file.
OTHER_VARIABLES = frozenset({"CELLBLOCK_URL", "CELLBLOCK_TOKEN", "CELLBLOCK_SPACE", "CELLBLOCK_CONFIG"})
TEST_PREFIX = "CELLBLOCK_TEST_"  # left to whoever tests a server
# The one entry of a field's ``metadata`` that pydantic's ``Field`` does not take.
IS_LIVE = "is_live"
TOKEN_LEAST_CHARS = 16  # nobody guesses it
_NOTHING = object()


def _default_data_dir() -> Path:
    return Path("/var/lib/cellblock") if os.geteuid() == 0 else Path.home() / ".local/share/cellblock"


def _setting(
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


def is_no_setting(variable: str) -> bool:
    """Whether a variable that begins with PREFIX is meant for something else than the settings."""
    return variable in OTHER_VARIABLES or variable.startswith(TEST_PREFIX)


def host_and_port_of(bind: str) -> tuple[str, int]:
    """HOST:PORT taken apart; an IPv6 host without its brackets.  ValueError."""
    host, colon, port = bind.rpartition(":")
    is_number = port.isascii() and port.isdigit()
    if not colon or not host or not is_number or int(port) > 65_535:
        raise ValueError("must be HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


# Nothing but fields: only its subclasses have instances, and each method costs a start some time.
@dataclass(frozen=True, init=False, repr=False, eq=False)
class SharedSettings:
    """The settings that the fronts act on; ``defaults`` holds only the options that the operator named."""

    workers: int = _setting(2, ge=1, le=256, description="front processes")
    data_dir: Path = _setting(make=_default_data_dir, description="where everything durable lives")
    text_content_type: str = _setting(
        "text/plain; charset=utf-8",
        max_length=200,
        is_live=True,
        description="media type of a text answer without one",
    )
    functions_domain: str | None = _setting(
        None,
        pattern=DOMAIN,
        max_length=DOMAIN_MAX_CHARS,
        description="gives each function an origin of its own, NAME.SPACE before this domain; another "
        "domain than the API's, see docs/browsers.md",
    )
    defaults: dict[str, Any] = _setting(
        make=dict, is_live=True, description="options that a function has unless it names them"
    )
    ceilings: dict[str, Any] = _setting(
        make=lambda: dict(DEFAULT_CEILINGS),
        is_live=True,
        description="the most that a function's options may be",
    )
    queue_seconds: float = _setting(
        10.0,
        gt=0,
        le=600,
        is_live=True,
        description="longest wait of a call for an instance, not counting an import that it waits "
        "for, seconds",
    )
    queue_depth: int = _setting(
        1000, ge=1, le=100_000, is_live=True, description="calls that may wait for one function in one front"
    )
    init_seconds: float = _setting(
        30.0, gt=0, le=600, is_live=True, description="longest import of a function's module, seconds"
    )
    grace_seconds: float = _setting(
        0.5,
        ge=0.05,
        le=60,
        is_live=True,
        description="from a call's limit to the end of its instance, seconds",
    )
    freeze_seconds: float = _setting(
        2.0,
        gt=0,
        le=86_400,
        is_live=True,
        description="an instance that has been idle so long is frozen, seconds",
    )
    recycle_calls: int = _setting(
        100_000,
        ge=1,
        le=1 << 32,
        is_live=True,
        description="calls after which an instance makes way for a new one",
    )
    recycle_seconds: float = _setting(
        86_400.0,
        gt=0,
        le=1e9,
        is_live=True,
        description="age at which an instance makes way for a new one, seconds",
    )
    head_seconds: float = _setting(
        15.0, gt=0, le=3600, description="longest wait for a caller to send a request's head, seconds"
    )
    body_seconds: float = _setting(
        60.0, gt=0, le=3600, description="longest wait for a caller to send its body, seconds"
    )
    keepalive_seconds: float = _setting(
        75.0,
        gt=0,
        le=86_400,
        description="a connection without a request for so long is closed, seconds",
    )
    unread_seconds: float = _setting(
        30.0,
        gt=0,
        le=3600,
        description="a connection whose caller reads nothing of an answer for so long is ended, seconds",
    )
    connections_most: int = _setting(
        20_000, ge=1, le=1_000_000, description="connections of one front at once"
    )
    connections_per_address: int = _setting(
        10_000,
        ge=1,
        le=1_000_000,
        description="connections of one front at once from one address, or from one IPv6 network of 64 bits",
    )
    requests_max_bytes: int = _setting(
        512 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="unanswered requests that one front holds; from one address at most half of it, bytes",
    )
    drain_seconds: float = _setting(
        30.0, gt=0, le=3600, is_live=True, description="how long SIGTERM waits for running calls, seconds"
    )
    bundle_max_bytes: int = _setting(
        50 << 20, ge=1, le=1 << 32, description="unpacked size of a bundle, bytes"
    )
    bundle_max_entries: int = _setting(
        10_000, ge=1, le=1_000_000, description="files and folders of a bundle"
    )
    versions_kept: int = _setting(
        20,
        ge=1,
        le=10_000,
        is_live=True,
        description="versions kept of each function, the newest, and the active one however old",
    )
    audit_keep_seconds: float = _setting(
        31_536_000.0,
        ge=60,
        le=1e9,
        description="age at which the lines of the audit are deleted, seconds",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", is_live=True, description="the server's own log"
    )
    log_format: LogFormat = _setting("text", description="lines for people, or an object a line for programs")
    otlp_endpoint: str | None = _setting(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        max_length=2000,
        description="an OpenTelemetry collector (OTLP over HTTP) that gets functions' logs and a span a call",
    )
    otlp_headers: dict[str, str] = _setting(
        make=dict, description="headers for the collector, such as its credential"
    )
    call_reports: bool = _setting(
        False, description="write a line for each call to the server's stderr: what it took and how it ended"
    )
    request_log: Literal["off", "stderr", "file"] = _setting(
        "off",
        description="a line of JSON for each request: to the server's stderr, or to files below data_dir",
    )
    request_log_max_bytes: int = _setting(
        64 << 20,
        ge=1 << 20,
        le=1 << 40,
        description="what `request_log = file` keeps, the latest, bytes",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        description="addresses or networks of proxies whose X-Forwarded-For the request log believes",
    )
    function_logs: bool = _setting(
        False,
        is_live=True,
        description="write the functions' log lines to the server's stderr too, where nothing bounds them",
    )
    log_keep_seconds: float = _setting(
        7 * 86_400.0, ge=60, le=1e9, description="age at which the functions' logs are deleted, seconds"
    )
    log_function_max_bytes: int = _setting(
        256 << 20, ge=1 << 20, le=1 << 40, description="logs kept of one function, the latest, bytes"
    )
    log_total_max_bytes: int = _setting(
        4 << 30,
        ge=1 << 20,
        le=1 << 44,
        description="logs kept of all functions; the function with most loses first, bytes",
    )
    log_reports_max_bytes: int = _setting(
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
    def front_dir(self) -> Path:
        """What the fronts own: the store, the bundles and the sealing key."""
        return self.data_dir / "front"


@dataclass(frozen=True)
class Settings(SharedSettings):
    """All settings of the server: the fronts' and those that only the warden acts on."""

    bind: str = _setting("127.0.0.1:8080", description="address and port of the HTTP server, HOST:PORT")
    runtimes_dir: Path = _setting(
        Path(sys.prefix) / "share/cellblock/runtimes",
        description="the functions' library environments, one folder per runtime",
    )
    default_runtime: str | None = _setting(
        None, description="runtime of template python3-http; default: that of the server's own interpreter"
    )
    admin_token: str | None = _setting(
        None,
        is_shown=False,
        is_live=True,
        description="the administrator's bearer token; generated once and kept in data_dir if not given",
    )
    metrics_token: str | None = _setting(
        None,
        is_shown=False,
        min_length=TOKEN_LEAST_CHARS,
        description="a bearer token that opens `/metrics` and nothing else; the administrator's opens it too",
    )
    metrics_functions: int = _setting(
        200,
        ge=0,
        le=10_000,
        description="functions that `/metrics` tells apart; the calls of all others are added up",
    )
    user: str | None = _setting(
        None,
        description="user the fronts run as, name or number; default: cellblock if it exists, else 64199",
    )
    cell_uid_base: int | None = _setting(
        None, ge=100_000, le=4_000_000_000, description="first of the user ids that cells run under"
    )
    min_tier: Literal["auto", "A", "A-user", "B", "C"] = _setting(
        "auto",
        description="least containment to start with, see docs/containment.md; "
        "auto is A-user, and on loopback the best there is",
    )
    insecure_dev: bool = _setting(
        False, description="run functions without any containment, on loopback only; for development"
    )
    public_url: str | None = _setting(
        None,
        pattern=r"^https?://[^\s/?#@]+$",
        max_length=300,
        description="the API's address for browsers, such as https://cellblock.example.com; needed "
        "with `functions_domain`",
    )
    preload: tuple[str, ...] = _setting(
        ("numpy", "pandas", "requests"),
        is_live=True,
        description="libraries imported ahead for functions that import one of them, "
        "where they are installed",
    )
    huge_pages: bool = _setting(
        True,
        description="functions' allocations of 2 MiB and more get pages of that size, "
        "where the host allows it and the server runs as root",
    )
    blank_cells: int = _setting(
        4,
        ge=0,
        le=256,
        is_live=True,
        description="blank cells kept ready for the default runtime: this many each with nothing "
        "imported, with the standard library, and with the libraries of `preload`",
    )
    blank_cells_most: int = _setting(
        16,
        ge=0,
        le=256,
        is_live=True,
        description="most blank cells kept of each runtime, after many were asked for",
    )
    max_cells: int = _setting(
        256, ge=1, le=16_384, is_live=True, description="cells at once, of all functions"
    )
    cells_processes: int | None = _setting(
        None,
        ge=64,
        le=4_194_304,
        description="processes and threads of all cells together; default: three quarters of the host's",
    )
    cells_memory: int | None = _setting(
        None,
        ge=64,
        le=1 << 30,
        description="memory of all cells together, MiB; default: seven eighths of the host's",
    )
    instance_files: int | None = _setting(
        None,
        ge=1024,
        le=1 << 30,
        description="most files of an instance, `open_files` times `processes`; default: 262144, or "
        "an eighth of the host's if that is less",
    )

    @property
    def host_and_port(self) -> tuple[str, int]:
        """``bind`` taken apart."""
        return host_and_port_of(self.bind)

    @property
    def functions_reach(self) -> domains.Reach:
        """How far ``functions_domain`` is from the API."""
        return domains.judged(self.functions_domain, self.public_url).reach


def live_names(settings: type[SharedSettings]) -> frozenset[str]:
    """The settings of this class that SIGHUP changes in a running server."""
    return frozenset(each.name for each in fields(settings) if each.metadata.get(IS_LIVE))
