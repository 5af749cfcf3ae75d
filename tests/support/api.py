"""The API in this process: a real store, real bundles, a Control double, and requests without a socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from supervisor.bundles.bundle_store import BundleStore
from supervisor.front.api import build_api
from supervisor.front.following.subscriptions import Subscriptions
from supervisor.front.invoke.credential import Credentials
from supervisor.store import Sealer, migrate, open_lookups
from supervisor.store.store import Store, open_store
from tests.support.control import FakeControl
from tests.support.packing import CODE
from tests.support.told import told

TOKEN = "t0ken"
FUNCTIONS = "/spaces/demo/functions"
HELLO = f"{FUNCTIONS}/hello"
JSON_HEADERS = {"Content-Type": "application/json"}
DEADLINE_S = 30
T = TypeVar("T")


def b64(source: bytes) -> str:
    """Bytes as a request carries them."""
    return base64.b64encode(source).decode()


class Front:
    """One front's API; several may share a folder, as several fronts do."""

    def __init__(self, folder: Path, runner: asyncio.Runner, **settings: Any) -> None:
        url = f"sqlite:///{folder}/cellblock.db"
        migrate(url)
        self.settings = told(data_dir=folder, **settings)
        sealer = Sealer(b"k" * 32)
        self.store: Store = open_store(url, sealer)
        self.lookups = open_lookups(url, sealer)
        self.bundles = BundleStore(
            folder / "bundles",
            self.settings.bundle_max_bytes,
            self.settings.bundle_max_entries,
            pieces_of=self.lookups.pieces_of,
        )
        self.control = FakeControl(self.bundles)
        self.app = build_api(
            store=self.store,
            bundles=self.bundles,
            settings=self.settings,
            control=self.control,
            credentials=Credentials(hashlib.sha256(TOKEN.encode()).digest()),
            subscriptions=Subscriptions(self.settings.logs_dir),
        )
        self._runner = runner

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A request with the token unless ``headers`` has one; what the app raises comes out."""
        headers = request.pop("headers", {})
        if not any(name.lower() == "authorization" for name in dict(headers)):
            headers = [*dict(headers).items(), ("Authorization", f"Bearer {TOKEN}")]
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        async with asyncio.timeout(DEADLINE_S):
            async with httpx.AsyncClient(transport=transport, base_url="http://front") as client:
                return await client.request(method, path, headers=headers, **request)

    def __call__(self, method: str, path: str, json: Any = None, **request: Any) -> httpx.Response:
        """``send``, awaited; ``json`` is the body if it is given."""
        if json is not None:
            request["json"] = json
        return self._runner.run(self.send(method, path, **request))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine on this front's loop."""
        return self._runner.run(work)

    def together(self, *requests: Any) -> list[httpx.Response]:
        """Several ``send`` coroutines at once."""

        async def gathered() -> list[httpx.Response]:
            return list(await asyncio.gather(*requests))

        return self._runner.run(gathered())


@contextmanager
def front(folder: Path, **settings: Any) -> Iterator[Front]:
    """A front with its store closed afterwards."""
    with asyncio.Runner() as runner:
        one = Front(folder, runner, **settings)
        try:
            yield one
        finally:
            one.store.close()
            one.lookups.close()


def make_space(api: Front, name: str) -> None:
    response = api("POST", "/spaces", {"name": name})
    assert response.status_code == 201, response.text


def body(name: str = "hello", code: bytes = CODE, **fields: Any) -> dict[str, Any]:
    return {"name": name, "source": {"code": b64(code)}, **fields}


def deploy(api: Front, name: str = "hello", code: bytes = CODE, **fields: Any) -> dict[str, Any]:
    response = api("POST", FUNCTIONS, body(name, code, **fields))
    assert response.status_code == 201, response.text
    return response.json()


def refused(response: httpx.Response, status: int, *says: str) -> dict[str, Any]:
    """The error, once it has been found to be of the one shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert list(document) == ["error"]
    error = document["error"]
    assert set(error) == {"status", "message", "details"}
    assert error["status"] == status
    assert isinstance(error["details"], dict)
    assert isinstance(error["message"], str) and 0 < len(error["message"]) < 1000
    assert "\n" not in error["message"]
    for leak in ("Traceback", "supervisor", "site-packages", ".py:", "sqlite", "sqlalchemy", "pydantic"):
        assert leak not in response.text
    for text in says:
        assert text in error["message"]
    return error
