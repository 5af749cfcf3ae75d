"""A rotation, killed at each of its points by kill -9, and gone on with."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from supervisor.store import Sealer, open_lookups
from supervisor.store.ring.key_file import load_key
from supervisor.store.ring.rotation import Progress, rotate
from tests.unit.store.ring.conftest import VALUES

# A process of its own that rotates and kills itself at a point: ``before`` or ``after`` the n-th of a step.
DRIVER = """
import asyncio, os, signal, sys
from pathlib import Path
from supervisor.store import Sealer
from supervisor.store.ring import key_file, resealing, rotation
from supervisor.store.ring.key_file import KeyFile
from supervisor.store.store import open_store

url, path, step, when, which = *sys.argv[1:5], int(sys.argv[5])
resealing.BATCH = 3
done = {}

def die_at(name, work):
    def watched(*args, **kwargs):
        done[name] = done.get(name, 0) + 1
        is_it = name == step and done[name] == which
        if is_it and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = work(*args, **kwargs)
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return watched

async def announce():
    die_at("announced", lambda: None)()

os.replace = die_at("replaced", os.replace)
os.fsync = die_at("synced", os.fsync)
for name in ("note", "some", "is_done"):
    setattr(resealing.Resealing, name, die_at(name, getattr(resealing.Resealing, name)))
Sealer.seal_named = die_at("sealed", Sealer.seal_named)
file = KeyFile(Path(path))
store = open_store(url, Sealer(file.load_or_create(), file.newer))
print("begins", flush=True)
print(asyncio.run(rotation.rotate(file.path, store.resealing, announce)).left, flush=True)
"""
POINTS = [
    *(("replaced", when, number) for number in (1, 2, 3) for when in ("before", "after")),
    *(("synced", when, number) for number in (1, 2, 3, 4, 5, 6) for when in ("before", "after")),
    *(("announced", when, number) for number in (1, 2, 3) for when in ("before", "after")),
    *(("some", when, number) for number in (1, 2, 3, 4) for when in ("before", "after")),
    *(("note", when, 1) for when in ("before", "after")),
    *(("is_done", when, 1) for when in ("before", "after")),
    # In the middle of a batch's transaction.
    *(("sealed", when, number) for number in (2, 5) for when in ("before", "after")),
]


async def nothing() -> None:
    """The announcement of a server with one front."""


def driver(url: str, key_path: Path, step: str = "never", when: str = "before", which: int = 0):
    return [sys.executable, "-c", DRIVER, url, str(key_path), step, when, str(which)]


def values_now(url: str, key_path: Path) -> dict[str, str]:
    """What a front that starts now reads."""
    lookups = open_lookups(url, Sealer(load_key(key_path)))
    try:
        assert lookups.values("other").variables == {"V": {"a": 1}}
        return lookups.values("demo").secrets
    finally:
        lookups.close()


def go_on(front, key_path: Path) -> Progress:
    store = front()
    try:
        return asyncio.run(rotate(key_path, store.resealing, nothing))
    finally:
        store.close()


def test_a_rotation_replaces_the_key_and_no_value(filled, front, url, key_path):
    old = load_key(key_path)
    assert go_on(front, key_path).is_done
    new = load_key(key_path)
    assert len(new.keys) == 1 and new != old
    assert values_now(url, key_path) == VALUES
    assert filled.list_values("other", "variable")[0].value == {"a": 1}, "a front that heard nothing"
    filled.put_value("demo", "secret", "S0", "again")
    assert values_now(url, key_path)["S0"] == "again", "it seals by the new key"


def test_a_server_without_values_gets_a_new_key_too(front, key_path):
    front().close()
    old = load_key(key_path)
    assert go_on(front, key_path) == Progress(load_key(key_path).ids, 0)
    assert load_key(key_path) != old


@pytest.mark.slow
@pytest.mark.promise("S236")
@pytest.mark.parametrize(("step", "when", "which"), POINTS)
def test_a_kill_at_any_point_leaves_every_value_readable_and_the_next_run_finishes(
    filled, front, url, key_path, step, when, which
):
    old = load_key(key_path)
    ended = subprocess.run(
        driver(url, key_path, step, when, which), cwd=Path.cwd(), timeout=60, capture_output=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, "the point was not reached"
    assert values_now(url, key_path) == VALUES
    filled.put_value("demo", "secret", "S1", "changed since")
    assert values_now(url, key_path) == {**VALUES, "S1": "changed since"}
    assert go_on(front, key_path).is_done
    new = load_key(key_path)
    assert len(new.keys) == 1 and new.keys != old.keys
    assert values_now(url, key_path) == {**VALUES, "S1": "changed since"}
    assert [path.name for path in key_path.parent.glob("sealing*")] != []


@pytest.mark.slow
def test_kills_at_any_moment_lose_nothing(filled, front, url, key_path):
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    old = load_key(key_path)
    for _ in range(8):
        process = subprocess.Popen(driver(url, key_path), stdout=subprocess.PIPE, cwd=Path.cwd())
        assert process.stdout is not None and process.stdout.readline() == b"begins\n"
        time.sleep(chance.uniform(0, 0.15))  # a moment to be killed at, and nothing waits for it
        process.kill()
        process.communicate(timeout=30)
        assert values_now(url, key_path) == VALUES, f"seed {seed}"
    assert go_on(front, key_path).is_done
    assert load_key(key_path) != old
    assert values_now(url, key_path) == VALUES


@pytest.mark.slow
def test_changes_during_a_rotation_are_all_kept(filled, front, url, key_path):
    """Two fronts that hear of nothing set values while a third process rotates again and again."""
    stop = threading.Event()
    last: dict[str, str] = {}
    failures: list[BaseException] = []

    def change(name: str) -> None:
        store, number = front(), 0
        try:
            while not stop.is_set():
                number += 1
                store.put_value("demo", "secret", name, f"{name} {number}")
                last[name] = f"{name} {number}"
        except BaseException as error:
            failures.append(error)
        finally:
            store.close()

    writers = [threading.Thread(target=change, args=(f"W{number}",)) for number in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            store = front()
            while not asyncio.run(rotate(key_path, store.resealing, nothing, run_seconds=0.2)).is_done:
                pass
            assert {**VALUES, **values_now(url, key_path)}.keys() >= VALUES.keys()
            store.close()
    finally:
        stop.set()
        for writer in writers:
            writer.join(60)
    assert failures == []
    assert values_now(url, key_path) == {**VALUES, **last}
