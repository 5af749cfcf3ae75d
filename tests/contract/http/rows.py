"""The language of the table: what is sent on one connection, and what must come of it.

Bytes are sent as they stand but for these marks: ``<T>`` is a target that can be read and written and ``<M>``
one that is missing, which each way through the server has its own of; ``<A>`` are the lines of the credential
and of the content type, ``<K>`` is the latter alone.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.support.server import SPACE, TOKEN


class Wait(enum.Enum):
    """What is waited for between two writes; nothing here is a matter of time."""

    READ = "the server has read all that was sent"
    ANSWERED = "one more answer has been read"
    SHUT = "nothing: our side of the connection is shut"


class End(enum.Enum):
    """What becomes of the connection after the last answer."""

    KEPT = "kept"
    CLOSED = "closed"
    EITHER = "either"


READ, ANSWERED, SHUT = Wait.READ, Wait.ANSWERED, Wait.SHUT
KEPT, CLOSED, EITHER = End.KEPT, End.CLOSED, End.EITHER


@dataclass(frozen=True)
class Drip:
    """Bytes that are sent one at a time."""

    data: bytes


Step = bytes | Drip | Wait

FUNCTION: Final = "edge"
CALL: Final = f"/spaces/{SPACE}/functions/{FUNCTION}/invoke"
TYPE: Final = b"Content-Type: application/json\r\n"
CREDENTIAL: Final = f"Authorization: Bearer {TOKEN}\r\n".encode() + TYPE

# Stands for whatever a way answers a request with that it has carried out: 200, 201, 204.
OK: Final = 2
# The body of the table's requests: both ways accept it, and one says so by what it then holds.
BODY: Final = b'{"value":7}'
# A request that is seen as a call of its own if anybody reads it as one, on whichever way it was sent.
SMUGGLED_TARGET: Final = f"{CALL}/smuggled".encode()
SMUGGLED: Final = (
    b"POST " + SMUGGLED_TARGET + b" HTTP/1.1\r\nHost: x\r\n" + CREDENTIAL + b"Content-Length: 0\r\n\r\n"
)


@dataclass(frozen=True)
class Outcome:
    """One way in which a row may go.

    ``bodies`` are those of the requests to ``<T>`` that were carried out, in order, and ``smuggled`` is how
    many of those that ``SMUGGLED`` is were.
    """

    statuses: tuple[int, ...]
    end: End
    bodies: tuple[bytes, ...] = ()
    smuggled: int = 0


REFUSED: Final = Outcome((400,), CLOSED)
SERVED: Final = Outcome((OK,), KEPT, (BODY,))
GOT: Final = Outcome((OK,), KEPT, (b"",))


@dataclass(frozen=True)
class Row:
    """One conversation.  ``why`` is the section of an RFC or the name of an attack."""

    name: str
    steps: tuple[Step, ...]
    why: str
    outcomes: tuple[Outcome, ...]
    # Of the first call, as the function saw it.
    hides: tuple[str, ...] = ()
    shows: tuple[tuple[str, str], ...] = ()
    # Answers to HEAD have no body whatever they announce.
    is_head: bool = False
    # "api" or "call", where a row speaks of one way only.
    only: str = ""
    # The family that it is listed under in docs/http.md and docs/attacks.md.
    family: str = ""
    is_attack: bool = False

    @property
    def varies(self) -> bool:
        """Whether what comes of it is a matter of what arrives first: a side that is shut, or a body."""
        statuses = [outcome.statuses for outcome in self.outcomes]
        return len(statuses) > 1 and any(not some or 100 in some for some in statuses)


def row(
    name: str,
    *steps: Step,
    why: str,
    gets: Outcome | Sequence[Outcome] = REFUSED,
    hides: Sequence[str] = (),
    shows: Sequence[tuple[str, str]] = (),
    is_head: bool = False,
    only: str = "",
    is_attack: bool = False,
) -> Row:
    """A row; refused with 400 and closed unless ``gets`` says otherwise."""
    outcomes = (gets,) if isinstance(gets, Outcome) else tuple(gets)
    return Row(
        name, tuple(steps), why, outcomes, tuple(hides), tuple(shows), is_head, only, is_attack=is_attack
    )


def put(*lines: bytes, body: bytes = BODY, length: bool = True, version: bytes = b"HTTP/1.1") -> bytes:
    """A whole PUT to ``<T>`` with these header lines besides; ``length``: with its Content-Length."""
    sized = [b"Content-Length: %d" % len(body)] if length else []
    head = [b"PUT <T> " + version, b"Host: x", *sized, *lines]
    return b"\r\n".join(head) + b"\r\n<A>\r\n" + body


def get(
    *lines: bytes, target: bytes = b"<T>", version: bytes = b"HTTP/1.1", host: bytes = b"Host: x"
) -> bytes:
    """A whole GET with these header lines besides; ``host`` is the whole line, b"" for none."""
    hosts = [host] if host else []
    return b"\r\n".join([b"GET " + target + b" " + version, *hosts, *lines]) + b"\r\n<A>\r\n"


def chunked(body: bytes, *lines: bytes) -> bytes:
    """A PUT in chunked coding whose coded body is given as it travels."""
    return put(b"Transfer-Encoding: chunked", *lines, body=body, length=False)


# A body in one chunk, and what ends it.
CHUNK: Final = b"b\r\n" + BODY + b"\r\n"
LAST: Final = b"0\r\n\r\n"
