"""Wrong credentials are in the audit: how many came from where, at most a line a minute for each address."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from supervisor.front.invoke.callers import credential
from supervisor.front.lazy_api import LazyApi
from supervisor.store import Sealer
from supervisor.store.schema import audit
from tests.support.api import Front, front
from tests.support.eventually import SECONDS

KEY = b"k" * 32


def rows(api: Front) -> list[tuple[str, str, str, int]]:
    """Actor, action, address and number of each line."""
    found = api.store._db.read(lambda connection: connection.execute(select(audit).order_by("id")).all())
    return [(row.actor, row.action, row.target, row.details["times"]) for row in found]


def test_wrong_tokens_of_a_minute_are_one_line_for_each_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential, "LINE_EVERY_S", 0.1)

    async def scenario(api: Front) -> None:
        lazy = LazyApi(
            f"sqlite:///{tmp_path}/cellblock.db",
            Sealer(KEY),
            api.bundles,
            api.control,
            api.credentials,
            api.app.state.context.subscriptions,
            api.app.state.context._quotas,
            lambda: api.settings,
        )
        api.credentials.on_wrong = lazy.note_refused
        for _ in range(5):
            await api.credentials.refusal(b"Bearer cb_key_wrong", "192.0.2.1")
        await api.credentials.refusal(b"Bearer x", "2001:db8::1")
        await api.credentials.wrong_secret("01ABC", "192.0.2.1")
        await api.credentials.refusal(None, "192.0.2.9")  # without a credential it is no guess
        async with asyncio.timeout(SECONDS):
            while len(rows(api)) < 3:
                await asyncio.sleep(0.01)
        lazy.close()

    with front(tmp_path) as api:
        api._runner.run(scenario(api))
        assert sorted(rows(api)) == [
            ("server", "credential.refused", "192.0.2.1", 6),
            ("server", "credential.refused", "2001:db8::/64", 1),
            ("server", "credential.refused", "app:01ABC", 1),
        ]
