"""A server with two fronts for tests of spaces; each makes and deletes spaces of its own."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.server import Server

MakeServer = Callable[..., Server]
# A connection each: two fronts have answered by then, whichever takes which.
CONNECTIONS = 12


class Space:
    """A space of a running server."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.path = f"/spaces/{name}"

    def send(self, method: str, path: str = "", **keywords: Any) -> httpx.Response:
        """A request below the space."""
        return self.server.client.request(method, self.path + path, **keywords)

    def deploy(self, name: str, code: str, **options: Any) -> None:
        """Create a function."""
        body = {
            "name": name,
            "options": options,
            "source": {"code": base64.b64encode(code.encode()).decode()},
        }
        answer = self.send("POST", "/functions", json=body)
        assert answer.status_code == 201, answer.text

    def call(self, name: str, **keywords: Any) -> httpx.Response:
        """Invoke a function."""
        return self.send("POST", f"/functions/{name}/invoke", **keywords)

    def by_all_fronts(self, name: str, *, anonymous: bool = False) -> set[int]:
        """The statuses of a function's calls over so many connections that every front has one."""
        headers = {} if anonymous else dict(self.server.client.headers)
        url = f"{self.server.url}{self.path}/functions/{name}/invoke"
        return {httpx.post(url, headers=headers, timeout=60).status_code for _ in range(CONNECTIONS)}

    def suspend(self, suspended: bool = True) -> None:
        """Suspend or resume it."""
        answer = self.send("PUT", json={"suspended": suspended})
        assert answer.status_code == 200, answer.text

    def delete(self) -> httpx.Response:
        """Delete it."""
        return self.send("DELETE", params={"confirm": self.name})

    def instances(self) -> list[dict[str, Any]]:
        """Those of all fronts."""
        found = self.server.client.get("/activity").json()["instances"]
        return [one for one in found if one["space"] == self.name]


@pytest.fixture(scope="module")
def host(module_server: MakeServer) -> Server:
    return module_server(workers=2)


@pytest.fixture
def space(host: Server, request: pytest.FixtureRequest) -> Space:
    """A space that is the test's own, by a name that is nowhere else."""
    name = f"sp-{abs(hash(request.node.name)) % 10**9}"
    return Space(host, host.make_space(name))
