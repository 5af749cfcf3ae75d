"""Two tenants on one server: an attacker, and a neighbour who has to be answered all the while."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.escape.hostile import SOURCE
from tests.support import leaks
from tests.support.asked import Asked
from tests.support.descriptors import places_in
from tests.support.groups import leaves
from tests.support.patience import FACTOR
from tests.support.processes import descendants_of, zygotes_of
from tests.support.server import Server

# What a fork bomb on two cores may cost others: a call takes a few milliseconds otherwise.
NEIGHBOUR_SECONDS = 10.0 * FACTOR
SETTLE_SECONDS = 15.0 * FACTOR
# Nothing has come or gone for so long: the blank cells are there.
STEADY_SECONDS = 0.4
# What an attacker is given here, unless a test says otherwise.
SMALL: dict[str, Any] = {
    "processes": 8, "memory": 64, "tmp": 1, "open_files": 32, "timeout": 2.0, "cpu": 0.5,
}  # fmt: skip
NEIGHBOUR = """
SECRET = {secret!r}

def handle(req):
    return {{"body": SECRET + (req.body if isinstance(req.body, str) else req.body.decode())}}
"""


@dataclass
class Tenant:
    """A space of its own on a server."""

    server: Server
    space: str

    def deploy(self, name: str, source: str, **options: Any) -> None:
        """Create or update a function."""
        code = base64.b64encode(source.encode()).decode()
        body = {"name": name, "template": "python3-http", "options": options, "source": {"code": code}}
        path = f"/spaces/{self.space}/functions"
        answer = self.server.client.post(path, json=body)
        if answer.status_code == 409:
            answer = self.server.client.put(f"{path}/{name}", json=body)
        assert answer.status_code in (200, 201), answer.text

    def call(self, name: str, content: bytes = b"", seconds: float = 60.0) -> Any:
        """The answer of a function."""
        path = f"/spaces/{self.space}/functions/{name}/invoke"
        return self.server.client.post(path, content=content, timeout=seconds)

    def remove(self, name: str) -> None:
        """Delete a function, and with it its cells."""
        assert self.server.client.delete(f"/spaces/{self.space}/functions/{name}").status_code == 204


@dataclass(frozen=True)
class Outcome:
    """Of one call: ``found`` is what the attack left, None where nobody was there to answer."""

    status: int
    found: Any
    seconds: float


@dataclass
class Field(Asked):
    """Where an attack takes place; ``slowest`` is the neighbour's longest wait, in seconds."""

    server: Server
    attacker: Tenant
    neighbour: Tenant
    secret: str
    _deployed: set[str] = field(default_factory=set)

    def attack(self, code: str, **options: Any) -> Outcome:
        """Run ``code`` as the attacker's function with SMALL limits, changed by ``options``."""
        chosen = {**SMALL, **options}
        name = "hostile-" + "-".join(str(value).replace(".", "-") for value in chosen.values())
        if name not in self._deployed:
            self.attacker.deploy(name, SOURCE, **chosen)
            self._deployed.add(name)
        began = time.monotonic()
        body = json.dumps({"code": code, "know": {"SERVER": self.server.pid}})
        answer = self.attacker.call(name, body.encode())
        found = answer.json()["found"] if answer.status_code == 200 else None
        return Outcome(answer.status_code, found, time.monotonic() - began)

    def send(self, word: str) -> httpx.Response:
        """One call of the neighbour's."""
        return self.neighbour.call("peer", word.encode(), NEIGHBOUR_SECONDS)

    def right(self, word: str) -> str:
        """As NEIGHBOUR answers."""
        return self.secret + word

    def clean_up(self) -> None:
        """Remove what was deployed to attack."""
        for name in self._deployed:
            self.attacker.remove(name)
        self._deployed.clear()


def held(server: Server) -> dict[str, int]:
    """What a server holds: processes, descriptors, mounts, leaves."""
    found = leaks.counts(server.pid)
    # A front may keep a connection of ours open or close it: those are not the attacker's.
    del found["front descriptors"]
    found["processes"] = len(descendants_of(server.pid))
    found.update({f"leaves of {name}": number for name, number in leaves(server.data_dir).items()})
    found["core files"] = sum(1 for path in Path(server.data_dir).rglob("core*") if path.is_file())
    return found


@contextlib.contextmanager
def field_of(server: Server) -> Iterator[Field]:
    """An attack in here: the neighbour is called from start to end, and afterwards nothing is left."""
    mark = secrets.token_hex(3)
    neighbour = Tenant(server, f"peer-{mark}")
    secret = f"secret-{secrets.token_hex(8)}:"
    # One instance: a second one would look like something that was left.
    neighbour.deploy("peer", NEIGHBOUR.format(secret=secret), max_instances=1)
    found = Field(server, Tenant(server, f"mallory-{mark}"), neighbour, secret)
    found.ask()
    before, places = _settled(found, None), Counter(places_in(server.pid).values())
    zygotes = zygotes_of(server.pid)
    try:
        with found.meanwhile(2 * NEIGHBOUR_SECONDS):
            try:
                yield found
            finally:
                found.ask()  # at least once while the attack's cell is still there
    finally:
        found.clean_up()
    assert not found.wrong, found.wrong[:5]
    assert found.slowest < NEIGHBOUR_SECONDS
    after = _settled(found, before)
    now = Counter(places_in(server.pid).values())
    assert after == before, f"{after} and before {before}; opened {now - places}, closed {places - now}"
    assert zygotes_of(server.pid) == zygotes, "a zygote was lost"
    neighbour.remove("peer")


def _settled(field: Field, wanted: dict[str, int] | None) -> dict[str, int]:
    """What the server holds once that is ``wanted``, or for a while the same; or at the deadline."""
    deadline = time.monotonic() + SETTLE_SECONDS
    seen, since = held(field.server), time.monotonic()
    while seen != wanted and time.monotonic() < deadline:
        field.ask()  # which is also what one waits with
        now = held(field.server)
        if now != seen:
            seen, since = now, time.monotonic()
        is_steady = wanted is None and time.monotonic() > since + STEADY_SECONDS
        if is_steady and not _cells_growing(field.server):
            break
    return seen


def _cells_growing(server: Server) -> int:
    """Cells whose processes are there, and whose descriptors are not all: two follow once they are ready.

    Translated, that takes longer than STEADY_SECONDS.
    """
    text = server.client.get("/metrics").text
    return int(float(re.findall(r'^cellblock_cells\{state="growing"\} (\S+)$', text, re.MULTILINE)[0]))
