"""Bodies are bounded before they are read; what fails on our side is said, logged and cleaned up."""

from __future__ import annotations

import asyncio
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import PlatformError
from supervisor.front.api import collect_bundles
from supervisor.front.api.bundle_deletion import EVERY_S, BundleDeletion
from tests.support.api import FUNCTIONS, HELLO, JSON_HEADERS, body, deploy, refused
from tests.support.packing import CODE, zipped

OTHER_CODE = CODE + b"# two\n"


class Counted:
    """A body that says how much of it was taken."""

    def __init__(self, chunk: bytes, count: int) -> None:
        self.chunk, self.count, self.taken = chunk, count, 0

    async def __aiter__(self) -> Any:
        for _ in range(self.count):
            self.taken += 1
            yield self.chunk


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", FUNCTIONS, (1 << 20) * 4 // 3 + (1 << 20) + 4),
        ("PUT", HELLO, (1 << 20) * 4 // 3 + (1 << 20) + 4),
        ("PUT", "/spaces/demo/secrets/A", 1 << 20),
        ("PUT", "/spaces/demo/variables/A", 1 << 20),
        ("POST", f"{HELLO}/rollback", 1 << 20),
    ],
)
def test_a_body_without_end_is_a_413_at_the_limit(api, method, path, limit):
    endless = Counted(b"x" * 65_536, 10_000)
    refused(api(method, path, content=endless, headers=JSON_HEADERS), 413, "larger than")
    assert endless.taken * 65_536 <= limit + 65_536


def test_a_body_that_declares_too_much_is_not_read_at_all(api):
    declared = Counted(b"x", 10)
    headers = {**JSON_HEADERS, "Content-Length": str(1 << 40)}
    refused(api("POST", FUNCTIONS, content=declared, headers=headers), 413)
    assert declared.taken == 0
    refused(api("POST", FUNCTIONS, content=declared, headers={**headers, "Content-Length": "9" * 30}), 413)


def test_a_caller_without_a_credential_has_no_body_read(api):
    unread = Counted(b"x", 10)
    response = api("POST", FUNCTIONS, content=unread, headers={**JSON_HEADERS, "Authorization": "Bearer no"})
    refused(response, 401)
    assert unread.taken == 0


def test_a_source_that_is_larger_than_a_bundle_may_be_is_a_413(api):
    refused(api("POST", FUNCTIONS, body(code=b"#" * ((1 << 20) + 1))), 413)
    refused(api("POST", FUNCTIONS, body(code=zipped(("handler.py", CODE), ("x", bytes(2 << 20))))), 413)


def test_a_body_that_does_not_come_is_a_408(api):
    class Slow:
        async def __aiter__(self) -> Any:
            yield b"{"
            await asyncio.sleep(20)

    refused(api("POST", FUNCTIONS, content=Slow(), headers=JSON_HEADERS), 408, "0.2 s")


def test_an_unexpected_exception_is_a_500_with_a_reference_to_the_log(api, hello, monkeypatch, caplog):
    def broken(*_: Any) -> Any:
        raise RuntimeError("hunter2 in supervisor/store")

    monkeypatch.setattr(api.store, "function", broken)
    with caplog.at_level(logging.ERROR):
        response = api("GET", HELLO)
    error = refused(response, 500)
    assert "hunter2" not in response.text
    record = next(one for one in caplog.records if error["details"]["reference"] in one.getMessage())
    assert record.exc_info is not None and "hunter2" in str(record.exc_info[1])


def test_a_store_that_is_away_is_a_503_with_retry_after(api, hello, monkeypatch):
    def away(*_: Any) -> Any:
        raise PlatformError(503, "The server's store is busy", headers={"Retry-After": "1"})

    monkeypatch.setattr(api.store, "function", away)
    response = api("GET", HELLO)
    refused(response, 503)
    assert response.headers["retry-after"] == "1"


def test_a_bundle_that_is_missing_on_disk_comes_from_the_store(api, hello):
    before = api("GET", f"{HELLO}/code").json()
    shutil.rmtree(api.bundles.root)
    assert api("GET", f"{HELLO}/code").json() == before
    assert api.bundles.exists(hello["digest"])


def test_a_bundle_that_is_missing_in_the_store_too_is_a_500_that_says_so(api, hello):
    shutil.rmtree(api.bundles.root)
    api.bundles._pieces_of = lambda digest: None
    refused(api("GET", f"{HELLO}/code"), 500, "missing on the server")
    assert api("GET", HELLO).json()["warnings"] == []


def test_the_bundles_of_a_deleted_function_are_collected_but_not_at_once(api, hello):
    used = deploy(api, "other", OTHER_CODE)["digest"]
    api("DELETE", HELLO)
    assert collect_bundles(api.store, api.bundles, 20) == ()
    api.bundles._now = lambda: datetime.now(UTC).timestamp() + 3601
    assert collect_bundles(api.store, api.bundles, 20) == (hello["digest"],)
    assert (api.bundles.exists(hello["digest"]), api.bundles.exists(used)) == (False, True)


def test_housekeeping_is_due_now_and_then_and_survives_a_failure(api, monkeypatch, caplog):
    now = [0.0]
    housekeeping = BundleDeletion(api.store, api.bundles, lambda: 20, 3600.0, lambda: now[0])
    assert not housekeeping.is_due()
    now[0] = EVERY_S
    assert (housekeeping.is_due(), housekeeping.is_due()) == (True, False)
    housekeeping.collect()
    monkeypatch.setattr(api.bundles, "root", Path("/dev/null/bundles"))
    with caplog.at_level(logging.WARNING):
        housekeeping.collect()
    assert "cannot delete what is old" in caplog.text
