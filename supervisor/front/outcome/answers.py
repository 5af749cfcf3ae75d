"""What a cell sent, as an HTTP answer: the header policy and the outcomes' envelopes.  Pure.

Everything in a frame is the tenant's word.  Each function here is safe if the cell lies: names and
values are checked again, framing is ours alone, and a frame that breaks a rule is a
RemoteProtocolError, which costs the sender its cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from supervisor.errors import PlatformError
from supervisor.front.invoke import origins
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome.header_policy import Fate, fate_of
from supervisor.front.outcome.outcomes import Outcome
from worker.wire import RemoteProtocolError

Headers = list[tuple[bytes, bytes]]

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# These carry no body, whatever the function returned (RFC 9110, 15.3.5 and 15.4.5).
BODYLESS = frozenset({204, 205, 304})

REMEMBERED_NAMES, REMEMBERED_NAME_CHARS = 1024, 64
# What _judge said of names seen before: the same few come with every answer.
_names: dict[str, bytes] = {}


class Unscoped(Headers):
    """Among them are some that reach further than the function: ``Answer.complete`` cuts them.

    It depends on the host that was called, which nobody knows where a cell's frame is read.
    """


@dataclass(slots=True)
class Answer:
    """A whole answer.  ``is_invoked``: it comes from the function, not from the platform."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    is_invoked: bool = False
    outcome: Outcome = Outcome.ANSWERED

    def complete(self, stamps: Headers, asked: Asked | None) -> Headers:
        """All headers: its own, the length of its body, whose it is, what a browser is told, and ``stamps``.

        ``asked`` is the function that was called; None for an answer that is not on a function's way.
        """
        headers = self.headers
        if asked is None:
            headers += origins.OF_HEALTH
        else:
            if type(headers) is Unscoped:
                headers = origins.scoped(headers, asked)
            headers += origins.headers_for(asked)
        if self.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(self.body)))
        if self.is_invoked:
            headers.append((b"x-invoked", b"true"))
        headers += stamps
        return headers


def function_headers(headers: tuple[tuple[str, str], ...]) -> Headers:
    """The headers that are taken from a function; RemoteProtocolError for one that is no header."""
    taken: Headers = []
    named_by_connection: set[bytes] = set()
    has_scoped = False
    for name, value in headers:
        if FORBIDDEN_IN_VALUE.search(value):
            raise RemoteProtocolError("a header value has a control character")
        raw_name = _names.get(name)
        if raw_name is None:
            raw_name = _judge(name)
        if not raw_name:
            lowered = name.lower()
            if lowered == "connection":
                named_by_connection.update(
                    token.strip().lower().encode("latin-1", "replace") for token in value.split(",")
                )
            if fate_of(lowered) is Fate.DROP:
                continue
            has_scoped = True
            raw_name = name.encode("ascii")
        try:
            taken.append((raw_name, value.encode("latin-1")))
        except UnicodeEncodeError:
            raise RemoteProtocolError("a header value is not Latin-1") from None
    if named_by_connection:
        taken = [header for header in taken if header[0].lower() not in named_by_connection]
    return Unscoped(taken) if has_scoped else taken


def _judge(name: str) -> bytes:
    """The name as bytes, ``b""`` if it is not taken as it is; RemoteProtocolError."""
    if not TOKEN.fullmatch(name):
        raise RemoteProtocolError("a header name is no token")
    judged = name.encode("ascii") if fate_of(name.lower()) is Fate.KEEP else b""
    # A tenant can invent names for ever: what is remembered is bounded in number and size.
    if len(name) <= REMEMBERED_NAME_CHARS:
        if len(_names) >= REMEMBERED_NAMES:
            _names.clear()
        _names[name] = judged
    return judged


def answered(status: int, headers: Headers, body: bytes) -> Answer:
    """The function's own answer; ``headers`` are those that ``function_headers`` took."""
    return Answer(status, headers, b"" if status in BODYLESS else body, is_invoked=True)


def in_words(head: tuple[Any, ...]) -> str:
    """What was raised, where in handler.py or in which other file, and its text."""
    exception_type, exception_info, line, _, file = head[:5]
    where = f" at line {line}" if line else ""
    if where and file and file != "handler.py":
        where += f" of {file}"
    return f"{exception_type}{where}: {exception_info}"


def raised(head: tuple[Any, ...], call_id: str, is_known_caller: bool, remark: str = "") -> Answer:
    """500 for an exception: the details only for a caller that holds a credential of the space.

    ``remark`` is about a limit that the instance met before it was raised.
    """
    exception_type, exception_info, line, code = head[:4]
    if is_known_caller:
        message = in_words(head) + (f"; {remark}" if remark else "")
        details = {
            "exception_type": exception_type,
            "exception_info": exception_info,
            "exception_line_number": line,
            "exception_line_code": code,
        }
    else:
        message = "the function raised an exception; its owner finds it in the log by the call id"
        details = {"call_id": call_id}
    answer = refused(PlatformError(500, message, details))
    answer.is_invoked = True
    answer.outcome = Outcome.RAISED
    return answer


def broke_contract(message: str, call_id: str, is_known_caller: bool) -> PlatformError:
    """502 that names the mistake in what the function returned."""
    if not is_known_caller:
        message = "the function's answer breaks the contract"
    return PlatformError(502, f"contract error: {message}", {"reason": "contract", "call_id": call_id})


def refused(error: PlatformError) -> Answer:
    """An error of the platform in its envelope."""
    headers: Headers = [(b"content-type", b"application/json")]
    headers.extend(
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()
    )
    return Answer(error.status, headers, error.body())
