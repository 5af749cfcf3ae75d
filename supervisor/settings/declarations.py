"""Every setting of the server, declared once: name, type, unit, default, bounds and a sentence.

The class says who acts on a setting: a front (``SharedSettings``) or the warden alone (``Settings``).
``is_live`` says that SIGHUP changes it in a running server.  A setting that is not live is built into
something that lives as long as the server: a socket, a user id, a folder, the number of processes.

All other lists are made of these: what the plain sources read (``plain_sources``), what pydantic checks
(``validated``), what a front is told (``front_settings``), what a second reading changes (``reloading``), and
the table that a test compares with docs/settings.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from supervisor import domains
from supervisor.settings.shared_settings import IS_LIVE, SharedSettings, setting

# The variables that settings may come from begin with it.
PREFIX = "CELLBLOCK_"
# Of the command line, and the one that names the settings file.
OTHER_VARIABLES = frozenset({"CELLBLOCK_URL", "CELLBLOCK_TOKEN", "CELLBLOCK_SPACE", "CELLBLOCK_CONFIG"})
TEST_PREFIX = "CELLBLOCK_TEST_"  # left to whoever tests a server
TOKEN_LEAST_CHARS = 16  # nobody guesses it


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


@dataclass(frozen=True)
class Settings(SharedSettings):
    """All settings of the server: the fronts' and those that only the warden acts on."""

    bind: str = setting("127.0.0.1:8080", description="address and port of the HTTP server, HOST:PORT")
    runtimes_dir: Path = setting(
        Path(sys.prefix) / "share/cellblock/runtimes",
        description="the functions' library environments, one folder per runtime",
    )
    default_runtime: str | None = setting(
        None, description="runtime of template python3-http; default: that of the server's own interpreter"
    )
    admin_token: str | None = setting(
        None,
        is_shown=False,
        is_live=True,
        description="the administrator's bearer token; generated once and kept in data_dir if not given",
    )
    metrics_token: str | None = setting(
        None,
        is_shown=False,
        min_length=TOKEN_LEAST_CHARS,
        description="a bearer token that opens `/metrics` and nothing else; the administrator's opens it too",
    )
    metrics_functions: int = setting(
        200,
        ge=0,
        le=10_000,
        description="functions that `/metrics` tells apart; the calls of all others are added up",
    )
    user: str | None = setting(
        None,
        description="user the fronts run as, name or number; default: cellblock if it exists, else 64199",
    )
    cell_uid_base: int | None = setting(
        None, ge=100_000, le=4_000_000_000, description="first of the user ids that cells run under"
    )
    min_tier: Literal["auto", "A", "A-user", "B", "C"] = setting(
        "auto",
        description="least containment to start with, see docs/containment.md; "
        "auto is A-user, and on loopback the best there is",
    )
    insecure_dev: bool = setting(
        False, description="run functions without any containment, on loopback only; for development"
    )
    public_url: str | None = setting(
        None,
        pattern=r"^https?://[^\s/?#@]+$",
        max_length=300,
        description="the API's address for browsers, such as https://cellblock.example.com; needed "
        "with `functions_domain`",
    )
    preload: tuple[str, ...] = setting(
        ("numpy", "pandas", "requests"),
        is_live=True,
        description="libraries imported ahead for functions that import one of them, "
        "where they are installed",
    )
    huge_pages: bool = setting(
        True,
        description="functions' allocations of 2 MiB and more get pages of that size, "
        "where the host allows it and the server runs as root",
    )
    blank_cells: int = setting(
        4,
        ge=0,
        le=256,
        is_live=True,
        description="blank cells kept ready for the default runtime: this many each with nothing "
        "imported, with the standard library, and with the libraries of `preload`",
    )
    blank_cells_most: int = setting(
        16,
        ge=0,
        le=256,
        is_live=True,
        description="most blank cells kept of each runtime, after many were asked for",
    )
    max_cells: int = setting(
        256, ge=1, le=16_384, is_live=True, description="cells at once, of all functions"
    )
    cells_processes: int | None = setting(
        None,
        ge=64,
        le=4_194_304,
        description="processes and threads of all cells together; default: three quarters of the host's",
    )
    cells_memory: int | None = setting(
        None,
        ge=64,
        le=1 << 30,
        description="memory of all cells together, MiB; default: seven eighths of the host's",
    )
    instance_files: int | None = setting(
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
