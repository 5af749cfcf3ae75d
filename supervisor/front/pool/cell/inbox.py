"""Frames from a cell: the front's end of its reply pipe, and at most one frame that is not complete yet.

Rule 1: Until the cell has said how it started, it may send that frame only; afterwards only frames that a
        running call waits for.  Any other byte is a violation, the first of a frame as much as the last.
Rule 2: So an inbox never holds more than one answer of one running call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection

from worker import wire

READ_BYTES = 1 << 16  # a pipe holds this much
READS_PER_TURN = 8  # one cell's quota in a turn of the loop, because the other cells wait meanwhile
ON_HOW_IT_STARTED = (0,)  # the call number of the frames that say how the cell started


class Inbox:
    """``take`` gets each frame, ``on_violation`` what was wrong; ``on_end`` is called at the pipe's end."""

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
        self._left = 0  # frames of the current read that are still to be taken
        self._take = take
        self._on_violation = on_violation
        self._on_end = on_end
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self.read)

    def expect(self, calls: Collection[int]) -> None:
        """Allow frames of these calls only; the collection is looked at again for each frame."""
        self._decoder.expected = calls

    @property
    def is_empty(self) -> bool:
        """Whether no frame, and no beginning of one, waits here to be taken."""
        return not self._left and self._decoder.is_between_frames

    def check_is_last(self) -> None:
        """RemoteProtocolError if anything follows the frame that is being taken: no call waits for more."""
        if self._left or not self._decoder.is_between_frames:
            raise wire.RemoteProtocolError("more than its calls wait for")

    def read(self) -> None:
        """Read what has arrived, within the quota of a turn."""
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
            # The last call here may have ended, and the pipe may be another front's by now.
            if self._is_closed or len(data) < READ_BYTES:
                return

    def stop(self) -> None:
        """Stop reading and drop what is held; the descriptor stays open."""
        self._is_closed = True
        self._loop.remove_reader(self.descriptor)
        self._decoder.close()
