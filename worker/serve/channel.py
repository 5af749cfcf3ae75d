"""The worker's ends of the request pipe and the reply pipe: reads frames, and writes each one whole."""

import os
import select
from typing import List, Optional, Sequence, Tuple

from .. import wire
from ..sandbox.lockdown_state import REPLY_FD, REQUEST_FD

READ_BYTES = 1 << 16  # the size of a pipe; a larger buffer would only cost memory
JOIN_BODY_BYTES = 1 << 16  # up to this size one copy is cheaper than one more system call


class Channel:
    """Frames from the front, and frames to it."""

    def __init__(self) -> None:
        self._decoder = wire.Decoder(wire.TO_CELL)
        # A frame is half written: an exception that is raised now would tear it.
        self.is_writing = False
        self._poll = select.poll()
        self._poll.register(REQUEST_FD, select.POLLIN)

    def read(self) -> Optional[List[wire.Frame]]:
        """The frames that one blocking read completes, perhaps none; ``None`` once the front has hung up."""
        data = os.read(REQUEST_FD, READ_BYTES)
        return self._decoder.receive(data) if data else None

    def has_input(self) -> bool:
        """Whether ``read`` would return at once."""
        return bool(self._poll.poll(0))

    def read_ready(self) -> List[wire.Frame]:
        """The frames that have arrived already; never waits."""
        return (self.read() or []) if self.has_input() else []

    def send(
        self,
        kind: int,
        call: int = 0,
        fields: Sequence[object] = (),
        headers: Sequence[Tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Send one whole frame.  An invalid one raises wire.LocalProtocolError before any byte is written."""
        head = wire.encode(kind, call, fields, headers, len(body))
        self.is_writing = True
        if len(body) <= JOIN_BODY_BYTES:
            self._write(head + body)
        else:
            self._write(head)
            self._write(body)
        self.is_writing = False

    @staticmethod
    def _write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(REPLY_FD, rest) :]
