"""The worker's two pipe ends: blocking writes of whole frames, reads into a Decoder."""

import os
import select
from typing import List, Optional, Sequence, Tuple

from .. import wire
from ..sandbox.lockdown_state import REPLY_FD, REQUEST_FD

READ_BYTES = 1 << 16  # a pipe holds this much; asking for more would only allocate more
JOIN_BODY_BYTES = 1 << 16  # below this one copy is cheaper than one more system call


class Channel:
    """Frames from the front and to it."""

    def __init__(self) -> None:
        self._decoder = wire.Decoder(wire.TO_CELL)
        # Half a frame is out: nobody may send another one.
        self.is_writing = False
        self._poll = select.poll()
        self._poll.register(REQUEST_FD, select.POLLIN)

    def read(self) -> Optional[List[wire.Frame]]:
        """The frames of one read, perhaps none; ``None`` once the front has gone."""
        data = os.read(REQUEST_FD, READ_BYTES)
        return self._decoder.receive(data) if data else None

    def has_input(self) -> bool:
        """Whether ``read`` would not wait."""
        return bool(self._poll.poll(0))

    def read_ready(self) -> List[wire.Frame]:
        """The frames of what has come, without waiting."""
        return (self.read() or []) if self.has_input() else []

    def send(
        self,
        kind: int,
        call: int = 0,
        fields: Sequence[object] = (),
        headers: Sequence[Tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Send one frame whole.  Raises wire.LocalProtocolError before any byte when it is not valid."""
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
