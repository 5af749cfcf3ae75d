"""Which server a command talks to, with which token, in which space.

For each of the three the option wins, then the environment (``CELLBLOCK_URL``, ``CELLBLOCK_TOKEN``,
``CELLBLOCK_SPACE``), then the ``[server]`` table of ``config.toml`` in the user's configuration directory,
then the default.  The file's token belongs to the file's server: no other server gets it.  A token that
``cellblock login`` keeps for the server and the space wins over the file's (``stored_logins``).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from supervisor.cli.command_errors import usage
from supervisor.errors import shown

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_SPACE = "default"
EVERY_SPACE = "*"  # of a login: the administrator's, which is good for all
CONFIG_MAX_BYTES = 64 * 1024  # it has three short values: a bigger file is not this one
CONFIG_KEYS = ("url", "token", "space")
TOKEN_MAX_CHARS = 4096  # no server accepts a longer one
URL_MAX_CHARS = 2048


@dataclass(frozen=True)
class ServerTarget:
    """A server, a credential for it and a space; ``token`` stays out of the repr."""

    url: str
    token: str | None = field(repr=False)
    space: str

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, so that no proxy is used."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def config_path() -> Path:
    """``config.toml`` in the user's configuration directory."""
    from platformdirs import user_config_path

    return user_config_path("cellblock") / "config.toml"


def read_config(path: Path) -> dict[str, str]:
    """The ``[server]`` table of a configuration file; empty if there is no such file.

    Raises CommandFailure (usage) when the file cannot be read, is no TOML or holds something unknown.
    """
    import tomllib

    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise usage(f"cannot read {path}: {error.strerror}; correct it or move it away") from None
    if len(raw) > CONFIG_MAX_BYTES:
        raise usage(f"cannot use {path}: larger than {CONFIG_MAX_BYTES} bytes; it holds only [server]")
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except ValueError as error:  # no UTF-8, or no TOML
        raise usage(f"cannot use {path}: {error}; correct it") from None
    return _server_table(path, document)


def _server_table(path: Path, document: Mapping[str, Any]) -> dict[str, str]:
    others = sorted(set(document) - {"server"})
    if others:
        raise usage(f"cannot use {path}: unknown key {shown(others[0])}; it holds a table [server]")
    table = document.get("server", {})
    if not isinstance(table, dict):
        raise usage(f"cannot use {path}: 'server' must be a table; write [server]")
    for key, value in table.items():
        if key not in CONFIG_KEYS:
            raise usage(f"cannot use {path}: unknown key server.{key}; known: {', '.join(CONFIG_KEYS)}")
        if not isinstance(value, str):
            raise usage(f"cannot use {path}: server.{key} must be text in quotes")
    return dict(table)


def resolve_target(
    url: str | None,
    token: str | None,
    space: str | None,
    environment: Mapping[str, str],
    config: Mapping[str, str],
    logins: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> ServerTarget:
    """The target from options, ``environment``, ``logins`` and ``config``; an empty value is not given.

    Without a space the one that there is a login for is meant, if it is the only one at this server.

    Raises CommandFailure (usage) for an impossible URL or token.
    """
    file_url = checked_url(config.get("url") or DEFAULT_URL)
    wanted = url or environment.get("CELLBLOCK_URL")
    chosen = checked_url(wanted) if wanted else file_url
    kept = logins.get(chosen, {})
    only = next(iter(kept)) if len(kept) == 1 and EVERY_SPACE not in kept else DEFAULT_SPACE
    chosen_space = space or environment.get("CELLBLOCK_SPACE") or config.get("space") or only
    chosen_token = token or environment.get("CELLBLOCK_TOKEN")
    chosen_token = chosen_token or kept.get(chosen_space) or kept.get(EVERY_SPACE)
    if not chosen_token and chosen == file_url:
        chosen_token = config.get("token")
    return ServerTarget(
        url=chosen,
        token=checked_token(chosen_token) if chosen_token else None,
        space=chosen_space,
    )


def checked_url(url: str) -> str:
    """``url`` without a trailing slash; CommandFailure unless it is http(s)://HOST[:PORT][/PREFIX]."""
    how = f"give it as {DEFAULT_URL} is given: http://HOST:PORT"
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise usage(f"cannot use the server URL {shown(url)}; {how}") from None
    if len(url) > URL_MAX_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise usage(f"cannot use the server URL {shown(url)}; {how}")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise usage(f"cannot use the server URL {shown(url)}; {how}")
    if "@" in parts.netloc:
        raise usage("cannot use a server URL with a user name in it; give the token by CELLBLOCK_TOKEN")
    if parts.query or parts.fragment:
        raise usage(f"cannot use the server URL {shown(url)}: it has a query or a fragment; {how}")
    return url.rstrip("/")


def checked_token(token: str) -> str:
    """``token`` without blanks around it; CommandFailure, which does not show it, for an impossible one."""
    stripped = token.strip()
    if not stripped or len(stripped) > TOKEN_MAX_CHARS:
        raise usage(f"cannot use the token: it must have 1 to {TOKEN_MAX_CHARS} characters")
    if not all("!" <= character <= "~" for character in stripped):
        raise usage("cannot use the token: it must be printable ASCII without blanks; copy it again")
    return stripped
