"""Cuts bytes so that no piece has bytes of the next message.  Pure.

A head ends behind an empty line and nowhere else.  So does a body in chunks: behind the last chunk or its
trailers.  Inside a body an empty line may stand anywhere; a cut there does no harm.
"""

from __future__ import annotations

END = b"\r\n\r\n"
# This many bytes of an empty line may be the last ones of the piece before.
TAIL_BYTES = len(END) - 1


def piece_end(data: bytearray, at: int, size: int, tail: bytes) -> int:
    """The end of the piece that begins at ``at``: behind the next empty line, else ``size``.

    ``tail`` is ``tail_of`` the pieces before.
    """
    if tail:
        seam = tail + data[at : min(size, at + TAIL_BYTES)]
        found = seam.find(END)
        if found >= 0:
            return at + found + len(END) - len(tail)
    found = data.find(END, at, size)
    return found + len(END) if found >= 0 else size


def first_not_empty(data: bytearray, at: int, size: int) -> int:
    """The first byte at or after ``at`` that is no line end."""
    return size - len(data[at:size].lstrip(b"\r\n"))


def tail_of(tail: bytes, piece: memoryview) -> bytes:
    """The last TAIL_BYTES of all pieces so far, where an empty line may have begun."""
    last = bytes(piece[-TAIL_BYTES:])
    return last if len(last) == TAIL_BYTES else (tail + last)[-TAIL_BYTES:]
