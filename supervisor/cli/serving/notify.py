"""Tells systemd how the server does (``sd_notify``), where a unit of ``Type=notify`` started it.

The protocol is one datagram a state to the socket that $NOTIFY_SOCKET names; a library would be larger.
"""

from __future__ import annotations

import logging
import os
import socket

VARIABLE = "NOTIFY_SOCKET"
log = logging.getLogger("cellblock.server")


class Notifier:
    """Sends states; does nothing where nobody listens.  No child of the server has the variable."""

    def __init__(self) -> None:
        self._address = os.environ.pop(VARIABLE, "")

    def tell(self, *states: str) -> None:
        """Send states such as READY=1.  A manager that does not take them costs a line of the log."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # a full queue of systemd's must not stop the server
                sock.sendto("\n".join(states).encode(), address)
        except OSError as error:
            log.warning("systemd was not told %s: %s", ", ".join(states), error)
