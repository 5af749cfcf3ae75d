"""The administrator's token: its file, and which token every front knows.

The token comes from the setting ``admin_token``, else from ``data_dir/admin-token``, which is made once.  It
is read at the start and at SIGHUP.  Fronts know its digest only, and no front answers before it was told.

``in-force`` has the digest that all fronts know, so that ``cellblock token rotate`` can wait for its own.
``server.pid`` has the warden's pid and start time, for that command's SIGHUP.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from supervisor.errors import ConfigurationError
from supervisor.link_messages import TokenKnown, TokenTold
from supervisor.settings.declarations import Settings
from supervisor.warden.leases.desk import Desk
from supervisor.warden.leases.front_sessions import Session

log = logging.getLogger("cellblock.warden")

TOKEN_FILE = "admin-token"  # noqa: S105 - a file's name
IN_FORCE_FILE = "admin-token.in-force"
PID_FILE = "server.pid"
TOKEN_BYTES = 32
TOKEN_LEAST_CHARS = 16
# No token of ours is longer (``supervisor.front.invoke.callers.credential``).
TOKEN_MOST_CHARS = 4000
# A front that does not acknowledge a token in this time is stuck: it is replaced.
ACK_SECONDS = 2.0


class AdminToken(NamedTuple):
    """The token, and whether it was made just now."""

    text: str
    is_new: bool = False

    def __repr__(self) -> str:
        return "AdminToken(…)"

    @property
    def digest(self) -> str:
        """What fronts are told of it."""
        return digest_of(self.text)


def digest_of(token: str) -> str:
    """The digest by which fronts compare tokens."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """One that nobody guesses."""
    return "cb_" + secrets.token_urlsafe(TOKEN_BYTES)


def token_of(settings: Settings) -> AdminToken:
    """The token in force for these settings.  Raises ConfigurationError for one that cannot be used."""
    if settings.admin_token is not None:
        return AdminToken(_checked(settings.admin_token, "setting admin_token"))
    try:
        return _kept(settings.data_dir / TOKEN_FILE)
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the data directory {settings.data_dir}: {error.strerror} at {error.filename}; "
            "choose with --data-dir one that this user can make and write"
        ) from None


def _kept(path: Path) -> AdminToken:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    with contextlib.suppress(FileNotFoundError):
        if token := path.read_text(errors="replace").strip():
            return AdminToken(_checked(token, str(path)))
    token = new_token()
    write_private(path, token)
    return AdminToken(token, is_new=True)


def _checked(token: str, where: str) -> str:
    if not TOKEN_LEAST_CHARS <= len(token) <= TOKEN_MOST_CHARS:
        raise ConfigurationError(
            f"{where}: a token has {TOKEN_LEAST_CHARS} to {TOKEN_MOST_CHARS} characters; "
            "remove it and one is made"
        )
    if not all("!" <= character <= "~" for character in token):
        raise ConfigurationError(f"{where}: a token is printable ASCII without blanks; write another one")
    return token


def write_private(path: Path, text: str) -> None:
    """Replace a file of the data directory by one with this line, which only its owner can read."""
    temporary = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


class TokenRounds:
    """Has every front know the token, and says in a file when all do."""

    def __init__(self, data_dir: Path, token: AdminToken, desk: Desk) -> None:
        self._in_force = data_dir / IN_FORCE_FILE
        self._digest = token.digest
        self._desk = desk
        self._epochs = itertools.count(1)
        self._epoch = 0
        self._missing: set[Session] = set()
        self._deadline: asyncio.TimerHandle | None = None
        desk.handlers[TokenKnown] = self._known
        self._tell()

    def read(self, settings: Settings) -> None:
        """SIGHUP: read the token again.  One that cannot be used is logged, and changes nothing."""
        try:
            token = token_of(settings)
        except (ConfigurationError, OSError) as error:
            log.error("SIGHUP left the admin token as it was: %s", error)
            return
        if token.digest != self._digest:
            self._digest = token.digest
            self._tell()

    def _tell(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._epoch = next(self._epochs)
        self._missing = set(self._desk.sessions)
        self._deadline = asyncio.get_running_loop().call_later(ACK_SECONDS, self._give_up, self._epoch)
        self._desk.publish(TokenTold(self._epoch, self._digest))
        self._look()

    def _known(self, session: Session, known: TokenKnown, _: list[int]) -> None:
        if known.epoch == self._epoch:
            self._missing.discard(session)
            self._look()

    def _look(self) -> None:
        """Say that the token is in force once every front that still runs knows it."""
        if self._deadline is None or self._missing & self._desk.sessions:
            return
        self._deadline.cancel()
        self._deadline = None
        try:
            write_private(self._in_force, self._digest)
        except OSError as error:  # a full disk: only the command that waits misses it
            log.error("%s cannot be written: %s", self._in_force, error)
        if self._epoch > 1:
            log.info("every front knows the new admin token; the old one is refused")

    def _give_up(self, epoch: int) -> None:
        stuck = self._missing & self._desk.sessions
        log.error("%d fronts did not acknowledge admin token %d: closing their links", len(stuck), epoch)
        # A front that may know an old token is worse than one less front: gunicorn replaces it.
        for session in stuck:
            session.link.close()
        self._missing.clear()
        self._look()
