"""Bytes from a cell: its reply pipe's end, and the one frame that may be half here.

Rule 1: before the cell has said how it started it may say that and nothing else; after it only what a call
        that runs waits for.  Any other byte is a violation, the first of a frame as much as the last.
Rule 2: so what is held is never more than one answer of one call that runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection

from worker import wire

READ_BYTES = 1 << 16  # a pipe holds this much
READS_PER_TURN = 8  # one cell's quota in a turn of the loop: the others are waiting too
ON_HOW_IT_STARTED = (0,)  # the call number of those frames


class Inbox:
    """``take`` gets each frame, ``on_violation`` what was wrong, ``on_end`` is told of the pipe's end."""

    def __init__(
        self,
        descriptor: int,
        body_max_bytes: int,
        take: Callable[[wire.Frame], None],
        on_violation: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        self.descriptor = descriptor
        self._decoder = wire.Decoder(wire.TO_FRONT, body_max_bytes)
        self._decoder.expected = ON_HOW_IT_STARTED
        self._left = 0  # of the frames that one read brought, how many are still to be taken
        self._take = take
        self._on_violation = on_violation
        self._on_end = on_end
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self.read)

    def expect(self, calls: Collection[int]) -> None:
        """From now on only frames of these calls, whichever they then are."""
        self._decoder.expected = calls

    @property
    def is_empty(self) -> bool:
        """Nothing is here that nobody has taken: no frame, and no beginning of one."""
        return not self._left and self._decoder.is_between_frames

    def last(self) -> None:
        """RemoteProtocolError unless the frame being taken is all there is: nobody waits for another."""
        if self._left or not self._decoder.is_between_frames:
            raise wire.RemoteProtocolError("more than its calls wait for")

    def read(self) -> None:
        """What has come, within a turn's quota."""
        for _ in range(READS_PER_TURN):
            try:
                data = os.read(self.descriptor, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self.descriptor)
                self._on_end()
                return
            try:
                # From here on the bytes are hostile.
                frames = self._decoder.receive(data)
                self._left = len(frames)
                for frame in frames:
                    self._left -= 1
                    self._take(frame)
                self._decoder.check_rest()
            except wire.RemoteProtocolError as error:
                self._on_violation(str(error))
                return
            # A call that ended may have been the last here: the pipe is another front's by now.
            if self._is_closed or len(data) < READ_BYTES:
                return

    def stop(self) -> None:
        """Read no more and hold nothing more; the descriptor stays."""
        self._is_closed = True
        self._loop.remove_reader(self.descriptor)
        self._decoder.close()
