"""What must stay untouched while tenants attack, and how it is seen that it did."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

# Every process of the host can pass it; pytest's own folders are root's alone.
PLACE = Path("/var/tmp")


class Listener:
    """Counts who connects."""

    def __init__(self, family: int, address: Any) -> None:
        self.count = 0
        self._counted = threading.Condition()
        self._socket = socket.socket(family)
        self._socket.bind(address)
        self._socket.listen()
        self.address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._counted:
                self.count += 1
                self._counted.notify_all()
            connection.close()

    def has_more_than(self, before: int, seconds: float) -> bool:
        """Whether it has seen more connections, within that time: connect returns before accept does."""
        with self._counted:
            return self._counted.wait_for(lambda: self.count > before, seconds)

    def close(self) -> None:
        """Stop listening; accept() wakes with an error."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


class Canaries:
    """A file, a writable file, the server's environment, three listeners: each with a token or a count."""

    def __init__(self) -> None:
        self.token = f"canary-{secrets.token_hex(12)}"
        self.folder = PLACE / f"cellblock-{os.getpid()}-{secrets.token_hex(3)}"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.file = self.folder / "file"
        self.file.write_text(self.token)
        self.file.chmod(0o666)
        self.path_listener = Listener(socket.AF_UNIX, str(self.folder / "socket"))
        (self.folder / "socket").chmod(0o777)
        self.abstract_listener = Listener(socket.AF_UNIX, f"\0{self.folder.name}")
        self.http_listener = Listener(socket.AF_INET, ("127.0.0.1", 0))

    @property
    def environment(self) -> dict[str, str]:
        """For the server: its secret that no cell may see."""
        return {"CANARY": self.token}

    def knowledge(self, server_pid: int) -> dict[str, Any]:
        """What the attacker is told, to make it easy."""
        return {
            "FILE": str(self.file),
            "FOLDER": str(self.folder),
            "SOCKET": str(self.folder / "socket"),
            "ABSTRACT": self.folder.name,
            "PORT": self.http_listener.address[1],
            "SERVER": server_pid,
        }

    @property
    def listeners(self) -> dict[str, Listener]:
        """By the name that an attack's ``connects`` has."""
        return {"path": self.path_listener, "abstract": self.abstract_listener, "http": self.http_listener}

    @property
    def connections(self) -> dict[str, int]:
        """How many connections each listener has seen."""
        return {name: listener.count for name, listener in self.listeners.items()}

    def leaked_in(self, text: str) -> bool:
        """Whether the token is in ``text``, as it is or in one of the usual disguises."""
        raw = self.token.encode()
        disguises = (self.token, self.token[::-1], raw.hex(), base64.b64encode(raw).decode().rstrip("="))
        return any(disguise in text for disguise in disguises)

    def assert_untouched(self) -> None:
        """The file is as it was, and nothing else lies beside it."""
        assert self.file.read_text() == self.token
        assert sorted(path.name for path in self.folder.iterdir()) == ["file", "socket"]

    def close(self) -> None:
        """Remove everything."""
        for listener in (self.path_listener, self.abstract_listener, self.http_listener):
            listener.close()
        shutil.rmtree(self.folder)
