"""HTTP answers: of a cell's frame, after the header policy, and of the platform's errors.  Pure.

Everything in a frame is the tenant's word.  Each function here is safe if the cell lies: names and values
are checked again, only the platform frames the answer, and a frame that breaks a rule is a
RemoteProtocolError, which costs the sender its cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from supervisor.errors import PlatformError
from supervisor.front.outcome import browser_headers
from supervisor.front.outcome.browser_headers import Headers as Headers
from supervisor.front.outcome.header_policy import Fate, fate_of
from supervisor.front.outcome.outcomes import Outcome, outcome_of
from worker.wire import RemoteProtocolError

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
FORBIDDEN_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# These carry no body, whatever the function returned (RFC 9110, 15.3.5 and 15.4.5).
BODYLESS = frozenset({204, 205, 304})

# The few names that come with every answer are judged once; an entry is at most this long.
REMEMBERED_NAMES, REMEMBERED_NAME_CHARS = 1024, 64


class Unscoped(Headers):
    """Headers of which some reach further than the function.

    ``Answer.complete`` cuts them: how far they may reach depends on the host that was called, which is not
    known where a cell's frame is read.
    """


class Address(Protocol):
    """The address that a function was called at."""

    @property
    def browser_headers(self) -> Headers:
        """The headers that every answer from this address carries."""

    @property
    def cookie_path(self) -> bytes | None:
        """The path that the function's cookies are kept to; None at an origin of its own."""


@dataclass(slots=True)
class Answer:
    """A whole answer.  ``is_invoked``: it comes from the function, not from the platform.

    ``outcome`` is None for an answer to something that is no call.  ``told`` is the platform's message to the
    caller, for the call's report.
    """

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    is_invoked: bool = False
    outcome: Outcome | None = Outcome.ANSWERED
    told: str = ""

    def complete(self, stamps: Headers, address: Address | None) -> Headers:
        """All headers: the answer's own, its length, its sender, the browser's rules, and ``stamps``.

        ``address`` is None for an answer that has nothing to do with a function.
        """
        headers = self.headers
        if address is None:
            headers += browser_headers.OF_HEALTH
        else:
            if type(headers) is Unscoped:
                headers = browser_headers.scoped(headers, address.cookie_path)
            headers += address.browser_headers
        if self.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(self.body)))
        if self.is_invoked:
            headers.append((b"x-invoked", b"true"))
        headers += stamps
        return headers


def stamps(
    call_id: str, total_s: float, queue_s: float = 0.0, init_s: float = 0.0, execution_s: float = 0.0
) -> Headers:
    """Tell a caller its call id and where the time of its request went, in seconds and milliseconds."""
    return [
        (b"x-call-id", call_id.encode("latin-1")),
        (b"x-duration-seconds", b"%.6f" % total_s),
        (
            b"server-timing",
            b"queue;dur=%.3f, init;dur=%.3f, exec;dur=%.3f"
            % (queue_s * 1e3, init_s * 1e3, execution_s * 1e3),
        ),
    ]


def function_headers(headers: tuple[tuple[str, str], ...]) -> Headers:
    """The headers that are taken from a function; RemoteProtocolError for an invalid header."""
    taken: Headers = []
    named_by_connection: set[bytes] = set()
    has_scoped = False
    for name, value in headers:
        if FORBIDDEN_IN_VALUE.search(value):
            raise RemoteProtocolError("a header value has a control character")
        raw_name = _remembered(name) if len(name) <= REMEMBERED_NAME_CHARS else _judge(name)
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
    """The name as bytes, or ``b""`` if the header is not taken as it is; RemoteProtocolError."""
    if not TOKEN.fullmatch(name):
        raise RemoteProtocolError("a header name is no token")
    return name.encode("ascii") if fate_of(name.lower()) is Fate.KEEP else b""


# A tenant can invent names for ever, so the memory is bounded in number and in size.
_remembered = lru_cache(maxsize=REMEMBERED_NAMES)(_judge)


def answered(status: int, headers: Headers, body: bytes) -> Answer:
    """The function's own answer; ``headers`` are those that ``function_headers`` took."""
    return Answer(status, headers, b"" if status in BODYLESS else body, is_invoked=True)


def in_words(head: tuple[Any, ...]) -> str:
    """An exception's type, its line in handler.py or in another file, and its text."""
    exception_type, exception_info, line, _, file = head[:5]
    where = f" at line {line}" if line else ""
    if where and file and file != "handler.py":
        where += f" of {file}"
    return f"{exception_type}{where}: {exception_info}"


def raised(head: tuple[Any, ...], call_id: str, is_known_caller: bool, remark: str = "") -> Answer:
    """500 for an exception; only a caller with a credential of the space gets the details.

    ``remark`` tells a limit that the instance met before the exception was raised.
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
    answer.outcome, answer.told = Outcome.RAISED, ""
    return answer


def broke_contract(message: str, call_id: str, is_known_caller: bool) -> Answer:
    """502 that names the mistake in what the function returned."""
    if not is_known_caller:
        message = "the function's answer breaks the contract"
    details = {"reason": "contract", "call_id": call_id}
    return refused(PlatformError(502, f"contract error: {message}", details))


def refused(error: PlatformError) -> Answer:
    """An error of the platform in its envelope."""
    headers: Headers = [(b"content-type", b"application/json")]
    headers.extend(
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()
    )
    outcome = outcome_of(error.status, error.details)
    return Answer(error.status, headers, error.body(), outcome=outcome, told=error.message)
