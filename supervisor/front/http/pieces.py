"""Where bytes may be cut so that nothing of the next message is in the piece.  Pure.

A head ends behind an empty line and nowhere else, and so does a body in chunks: behind the last chunk, or
behind its trailers.  Inside of a body an empty line may stand anywhere; a cut there does no harm.
"""

from __future__ import annotations

END = b"\r\n\r\n"
# An empty line may have begun with so many bytes of the piece before.
TAIL_BYTES = len(END) - 1


def piece_end(data: bytearray, at: int, size: int, tail: bytes) -> int:
    """The end of the piece that begins at ``at``; ``size`` where no empty line ends before.

    ``tail`` is ``tail_of`` the pieces before it.
    """
    if tail:
        seam = tail + data[at : min(size, at + TAIL_BYTES)]
        found = seam.find(END)
        if found >= 0:
            return at + found + len(END) - len(tail)
    found = data.find(END, at, size)
    return found + len(END) if found >= 0 else size


def first_not_empty(data: bytearray, at: int, size: int) -> int:
    """Where the empty lines end that ``data`` has at ``at``."""
    return size - len(data[at:size].lstrip(b"\r\n"))


def tail_of(tail: bytes, piece: memoryview) -> bytes:
    """The last bytes so far, of which an empty line may go on; ``tail`` is that of the pieces before."""
    last = bytes(piece[-TAIL_BYTES:])
    return last if len(last) == TAIL_BYTES else (tail + last)[-TAIL_BYTES:]
