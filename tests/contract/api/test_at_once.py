"""Changes that meet: of two fronts, and of a caller who hangs up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from supervisor.front.api import deploys
from supervisor.store import StaleWriteError
from tests.support.api import FUNCTIONS, HELLO, Front, b64, body, refused
from tests.support.packing import CODE

OTHER_CODE = CODE + b"# two\n"


@pytest.mark.slow
def test_deploys_through_two_fronts_at_once_lose_nothing_and_mix_nothing(api, hello, tmp_path):
    other = Front(tmp_path, api._runner)
    pairs = [(f"V{number}", CODE + f"# {number}\n".encode()) for number in range(4)]
    responses = api.together(
        *(
            (api, other)[index % 2].send(
                "PUT", HELLO, json={"description": text, "source": {"code": b64(code)}}
            )
            for index, (text, code) in enumerate(pairs)
        )
    )
    other.store.close()
    assert [one.status_code for one in responses] == [200] * 4
    assert sorted(one.json()["version"] for one in responses) == [2, 3, 4, 5]
    found = {one["description"]: one["digest"] for one in api("GET", f"{HELLO}/versions").json()["data"]}
    for (text, code), response in zip(pairs, responses, strict=True):
        assert found[text] == response.json()["digest"] == api.bundles.add(code)


@pytest.mark.slow
def test_one_of_two_creators_at_once_wins(api, tmp_path):
    other = Front(tmp_path, api._runner)
    responses = api.together(
        *(
            one.send("POST", FUNCTIONS, json=body(code=code))
            for one, code in ((api, CODE), (other, OTHER_CODE))
        )
    )
    other.store.close()
    assert sorted(one.status_code for one in responses) == [201, 409]
    winner = next(one for one in responses if one.status_code == 201).json()
    assert api("GET", HELLO).json() == winner


@pytest.mark.promise("S36")
def test_two_fields_changed_at_once_both_arrive(api, hello, monkeypatch):
    """A change is merged with what is there when it is stored, not with what was there when it came."""
    original = api.store.deploy
    interfered = []

    def deploy_late(based_on: Any, content: Any, *kept: int, **needs: bool) -> Any:
        if not interfered:
            interfered.append(True)
            api.store.__class__.deploy(
                api.store,
                based_on,
                type(content)(**{**vars(based_on.active.content), "env": {"A": "1"}}),
                *kept,
            )
        return original(based_on, content, *kept)

    monkeypatch.setattr(api.store, "acting_for", lambda actor: api.store)
    monkeypatch.setattr(api.store, "deploy", deploy_late)
    changed = api("PUT", HELLO, {"description": "new"}).json()
    assert (changed["description"], changed["env"], changed["version"]) == ("new", {"A": "1"}, 3)


def test_a_change_that_loses_every_time_ends_as_a_409(api, hello, monkeypatch):
    def always_late(*_: Any, **needs: bool) -> Any:
        raise StaleWriteError

    monkeypatch.setattr(api.store, "acting_for", lambda actor: api.store)
    monkeypatch.setattr(api.store, "deploy", always_late)
    refused(api("PUT", HELLO, {"description": "new"}), 409, f"{deploys.ATTEMPTS} times")


def test_a_caller_that_hangs_up_does_not_keep_a_stored_deploy_from_being_announced(api, hello):
    entered, release = asyncio.Event(), asyncio.Event()
    original = api.control.function_changed

    async def slow(space: str, name: str) -> None:
        entered.set()
        await release.wait()
        await original(space, name)

    api.control.function_changed = slow

    async def hang_up() -> None:
        request = asyncio.create_task(api.send("PUT", HELLO, json={"description": "new"}))
        await asyncio.wait_for(entered.wait(), 10)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        running = list(api.app.state.context._running)
        release.set()
        await asyncio.wait_for(asyncio.gather(*running), 10)

    api._runner.run(hang_up())
    assert api.control.told == [("function", "demo", "hello")] * 2
