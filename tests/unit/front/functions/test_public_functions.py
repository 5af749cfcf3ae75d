"""What is looked up for a caller without a credential: counted in the store that a directory asks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor.bundles.bundle_store import BundleStore
from supervisor.bundles.whole_mark import WHOLE_MTIME
from supervisor.front.functions.directory import Directory
from supervisor.front.functions.public_functions import PublicFunctions
from supervisor.store import CalledAlias, Deployment, FunctionKey
from tests.support.told import told

PUBLIC, PRIVATE, ABSENT = ("s", "public"), ("s", "private"), ("s", "absent")


class Functions:
    """A store of functions in memory, which counts how often it is asked for one."""

    def __init__(self) -> None:
        self.options_of: dict[FunctionKey, dict[str, Any]] = {PUBLIC: {"public": True}, PRIVATE: {}}
        self.aliases_of: dict[FunctionKey, list[CalledAlias]] = {}
        self.asked: list[FunctionKey] = []

    def deployment(self, *key: str) -> Deployment | None:
        """As Lookups."""
        self.asked.append((key[0], key[1]))
        options = self.options_of.get((key[0], key[1]))
        if options is None:
            return None
        return Deployment(1, *key, 1, "0" * 64, "python3-http", {}, options)

    def aliases(self, space: str, name: str) -> tuple[CalledAlias, ...]:
        """As Lookups."""
        return tuple(alias for key, alias in self.all_aliases() if key == (space, name))

    def all_aliases(self) -> tuple[tuple[FunctionKey, CalledAlias], ...]:
        """As Lookups."""
        return tuple((key, alias) for key, found in self.aliases_of.items() for alias in found)

    def options(self) -> tuple[tuple[str, str, dict[str, Any]], ...]:
        """As Lookups."""
        return tuple((*key, options) for key, options in self.options_of.items())


def run(tmp_path: Path, scenario: Callable[[Directory, Functions], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = Functions()
        (tmp_path / "bundles").mkdir(exist_ok=True)
        bundles = BundleStore(tmp_path / "bundles", 1 << 20, 100)
        bundles.path("0" * 64).mkdir()
        os.utime(bundles.path("0" * 64), (0, WHOLE_MTIME))  # nothing of it is missing
        directory = Directory(
            store,  # type: ignore[arg-type]
            told(),
            SimpleNamespace(on_changed={}),  # type: ignore[arg-type]
            lambda _: "python3.11",
            bundles,
        )
        directory.begin_to_keep()
        while PUBLIC not in (directory.public._public or ()):
            await asyncio.sleep(0.01)
        await scenario(directory, store)

    asyncio.run(whole())


async def anonymous(directory: Directory, key: FunctionKey) -> bool:
    """As the gateway does for a caller without a credential: whether it gets as far as the function."""
    if not directory.public.may_be(key):
        return False
    function = await directory.find(*key)
    return function is not None and function.limits.public


@pytest.mark.promise("T68")
def test_for_a_stranger_neither_a_private_nor_an_absent_function_is_looked_up(tmp_path: Path) -> None:
    async def scenario(directory: Directory, store: Functions) -> None:
        for number in range(100):
            assert not await anonymous(directory, ("s", f"absent-{number}"))
            assert not await anonymous(directory, PRIVATE)
        assert store.asked == []
        assert await anonymous(directory, PUBLIC)
        assert store.asked == [PUBLIC], "the control: one that may be called is"

    run(tmp_path, scenario)


def test_a_deploy_that_makes_a_function_public_or_private_holds_with_the_next_call(tmp_path: Path) -> None:
    async def scenario(directory: Directory, store: Functions) -> None:
        store.options_of[ABSENT] = {"public": True}
        directory.changed(*ABSENT)
        assert await anonymous(directory, ABSENT)
        store.options_of[PUBLIC] = {}
        directory.changed(*PUBLIC)
        assert not await anonymous(directory, PUBLIC)
        del store.options_of[ABSENT]
        directory.changed(*ABSENT)
        assert not await anonymous(directory, ABSENT)
        asked = len(store.asked)
        for key in (ABSENT, PUBLIC, PRIVATE):
            assert not await anonymous(directory, key)
        assert len(store.asked) == asked

    run(tmp_path, scenario)


def test_an_alias_is_looked_up_for_a_stranger_only_if_it_may_lead_to_a_public_version(tmp_path: Path) -> None:
    async def scenario(directory: Directory, store: Functions) -> None:
        public = directory.public
        assert not public.may_be_alias(PRIVATE, "open") and not public.may_be_alias(ABSENT, "open")
        store.aliases_of[PRIVATE] = [
            CalledAlias("open", 1, 2, 50, {1: {}, 2: {"public": True}}),
            CalledAlias("shut", 1, None, 0, {1: {}}),
        ]
        directory.changed(*PRIVATE)
        assert public.may_be_alias(PRIVATE, "open"), "nobody is sure yet"
        await directory.find(*PRIVATE)
        assert [public.may_be_alias(PRIVATE, name) for name in ("open", "shut", "no")] == [True, False, False]
        assert not public.may_be(PRIVATE), "the function itself is private"
        directory.begin_to_keep()
        store.aliases_of[PRIVATE] = store.aliases_of[PRIVATE][1:]
        directory.changed(*PRIVATE)
        await directory.find(*PRIVATE)
        assert not public.may_be_alias(PRIVATE, "open")

    run(tmp_path, scenario)


def test_a_number_is_never_looked_up_for_a_stranger() -> None:
    names = PublicFunctions()
    assert names.may_be(PUBLIC) and names.may_be_alias(PUBLIC, "prod"), "while nothing is known"
    assert not names.may_be_alias(PUBLIC, "7") and not names.may_be_alias(PUBLIC, "07")


STEPS = st.lists(st.tuples(st.sampled_from(["change", "look", "begin", "read"]), st.booleans()), max_size=40)


@settings(derandomize=True, database=None)
@given(STEPS)
@example([("change", False), ("begin", True), ("change", True), ("look", True), ("read", True)])
def test_whatever_comes_between_a_public_function_is_never_said_not_to_be_one(
    steps: list[tuple[str, bool]],
) -> None:
    """Reads of all names and of one overlap with changes; only what is true now may be refused unlooked."""
    names, key, truth = PublicFunctions(), PUBLIC, True
    begun, seen = names.begin(), truth
    for step, value in steps:
        if step == "change":
            truth = value
            names.changed(key)
        elif step == "look":
            names.found(key, truth, ["prod"] if truth else [])
        elif step == "begin":
            begun, seen = names.begin(), truth
        else:
            names.read(begun, [key] if seen else [], [(*key, "prod")] if seen else [])
        assert names.may_be(key) or not truth
        assert names.may_be_alias(key, "prod") or not truth
