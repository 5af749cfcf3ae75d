"""Call ids: the caller's own where it is valid, else a new one."""

from __future__ import annotations

import itertools
import re
import secrets

CALL_ID = re.compile(r"[A-Za-z0-9._:@=+-]{1,128}")
PREFIX_BYTES = 8


class CallIds:
    """Makes ids that no other front has.  A front makes this object after its fork, never before."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(PREFIX_BYTES)
        self._numbers = itertools.count(1)

    def of(self, headers: list[tuple[bytes, bytes]]) -> str:
        """The first valid ``X-Call-Id`` of a request, else a new id."""
        for name, value in headers:
            if name == b"x-call-id":
                text = value.decode("latin-1")
                if CALL_ID.fullmatch(text):
                    return text
        # Not uuid4, whose system call and formatting are a tenth of a warm call's work here.  A call id has
        # to differ from all others, but need not be secret: 64 random bits of this front, then a count.
        return f"{self._prefix}-{next(self._numbers):08x}"
