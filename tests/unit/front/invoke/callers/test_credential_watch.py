"""A server that shares its store hears of what another one takes back, or trusts nothing after its lease."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from supervisor.errors import PlatformError
from supervisor.front.invoke.callers import credential_watch
from supervisor.front.invoke.callers.credential import Credentials
from supervisor.front.invoke.callers.credential_watch import CredentialWatch
from supervisor.store import Sealer, database, migrate, open_lookups
from supervisor.store.credentials.credential_records import Grant
from supervisor.store.store import Store, open_store
from tests.support import postgres
from tests.support.stores import KEY

SECONDS = 30.0
HERE = "192.0.2.1"


@pytest.mark.promise("S198")
def test_what_another_server_took_back_is_refused_here_within_a_second() -> None:
    """Two servers on one PostgreSQL: the second makes and deletes the key, the first has only its watch."""
    folder = postgres.programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")

    async def scenario(url: str, other: Store) -> None:
        lookups = open_lookups(url, Sealer(KEY))
        assert lookups.credentials.is_shared
        known = Credentials(hashlib.sha256(b"admin").digest(), source=lookups.credentials)
        assert known.lookups is not None
        watch = CredentialWatch(lookups.credentials.revision, known.lookups, lambda: 60.0)
        watch.begin()
        made, secret = await asyncio.to_thread(
            other.credentials.create_key, "demo", "ci", Grant(("function",)), None
        )
        header = f"Bearer {secret}".encode()
        async with asyncio.timeout(SECONDS):
            assert await known.recognised(header, HERE) is not None
            await asyncio.sleep(0)
            await asyncio.to_thread(other.credentials.delete_key, "demo", made.id)
            while known.principal(header) is not None:  # the watch alone forgets it
                await asyncio.sleep(0.01)
            assert await known.recognised(header, HERE) is None
        watch.end()
        lookups.close()

    with postgres.running(folder) as server:
        url = server.fresh()
        migrate(url)
        other = open_store(url, Sealer(KEY))
        asyncio.run(scenario(url, other))
        other.close()
    assert credential_watch.EVERY_S <= 0.5, "with the time of a question it is a second"


def test_a_store_of_one_server_needs_no_watch(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/cellblock.db"
    migrate(url)
    lookups = open_lookups(url, Sealer(KEY))
    assert not lookups.credentials.is_shared and lookups.credentials.revision() == 0
    lookups.close()
    assert database.connect(url).engine.dialect.name == "sqlite"


class Lookups:
    """Keeps what the watch does."""

    def __init__(self) -> None:
        self.cut_off = ""
        self.forgot = 0

    def changed_somewhere(self) -> None:
        self.forgot += 1


def watched(answers, lease_s: float, until) -> Lookups:
    """What a watch does whose questions give these answers, one after the other, until it is so."""

    async def scenario() -> Lookups:
        lookups = Lookups()
        given = iter(answers)
        last = [None]

        def revision() -> int:
            last[0] = next(given, last[0])
            if last[0] is None:
                raise PlatformError(503, "The server's store cannot be used just now")
            return last[0]

        watch = CredentialWatch(revision, lookups, lambda: lease_s)  # type: ignore[arg-type]
        async with asyncio.timeout(SECONDS):
            while not until(lookups):
                await watch.look()
                await asyncio.sleep(0)
        return lookups

    return asyncio.run(scenario())


def test_a_new_revision_is_forgotten_once_and_the_first_is_no_news() -> None:
    looks = []
    found = watched([7, 7, 8, 8], 60.0, lambda lookups: looks.append(lookups.forgot) or len(looks) > 5)
    assert looks[:5] == [0, 0, 0, 1, 1] and found.cut_off == ""


@pytest.mark.promise("S204")
def test_within_the_lease_a_server_goes_on_and_after_it_trusts_nothing() -> None:
    looks = []
    found = watched([7, None], 1e9, lambda lookups: looks.append(lookups.forgot) or len(looks) > 5)
    assert (found.cut_off, found.forgot) == ("", 0)
    found = watched([7, None], 0.0, lambda lookups: lookups.cut_off)
    assert found.forgot == 1 and "cannot be reached" in found.cut_off


def test_it_trusts_again_once_the_store_is_back() -> None:
    seen = []

    def until(lookups: Lookups) -> bool:
        seen.append(bool(lookups.cut_off))
        return seen[-2:] == [True, False]

    watched([7, None, None, 7], 0.0, until)
