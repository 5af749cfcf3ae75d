"""The CPU weight of all cells is raised while one with many processes is killed; on a folder tree."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from supervisor.warden.cells import kill_boost
from supervisor.warden.cells.kill_boost import MANY_PROCESSES, WEIGHT_TIMES, KillBoost
from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder
from supervisor.warden.jail.cgroups import Cgroups, Leaf

USUAL, MORE = "1024", str(1024 * WEIGHT_TIMES)


class Tree:
    """A server's group with leaves, and its CPU weight."""

    def __init__(self, tmp_path: Path) -> None:
        self._base = tmp_path / "server"
        self._base.mkdir()
        (self._base / "cpu.shares").write_text(USUAL)
        self.hurry = KillBoost(Cgroups("server", {"cpu": CgroupFolder(str(tmp_path), 1)}))

    def leaf(self, name: str, processes: int) -> Leaf:
        folder = self._base.parent / name
        folder.mkdir()
        (folder / "pids.current").write_text(f"{processes}\n")
        return Leaf({"pids": CgroupFolder(str(folder), 1)})

    @property
    def share(self) -> str:
        # The kernel's file takes a number whole; a file of ours keeps the end of a longer one.
        return (self._base / "cpu.shares").read_text()[:4]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_cells_have_more_until_the_last_of_many_processes_is_gone(tree: Tree) -> None:
    async def story() -> list[str]:
        many, more, few = tree.leaf("a", MANY_PROCESSES), tree.leaf("b", 99), tree.leaf("c", 2)
        seen = []
        for act, leaf in (
            (tree.hurry.begin, few), (tree.hurry.begin, many),
            (tree.hurry.begin, many), (tree.hurry.begin, more),
            (tree.hurry.end, few), (tree.hurry.end, many), (tree.hurry.end, many), (tree.hurry.end, more),
        ):  # fmt: skip
            act(leaf)
            seen.append(tree.share)
        return seen

    assert asyncio.run(story()) == [USUAL, MORE, MORE, MORE, MORE, MORE, MORE, USUAL]


def test_a_server_that_was_killed_in_a_hurry_leaves_none_to_the_next(tmp_path: Path) -> None:
    async def story(tree: Tree) -> str:
        tree.hurry.begin(tree.leaf("a", 64))
        return tree.share

    tree = Tree(tmp_path)
    assert asyncio.run(story(tree)) == MORE
    KillBoost(Cgroups("server", {"cpu": CgroupFolder(str(tmp_path), 1)}))
    assert tree.share == USUAL


def test_what_does_not_end_keeps_it_for_a_while_only(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_boost, "BOOST_MOST_SECONDS", 0.01)

    async def story() -> None:
        tree.hurry.begin(tree.leaf("a", 64))
        assert tree.share == MORE
        async with asyncio.timeout(10):
            while tree.share == MORE:
                await asyncio.sleep(0)

    asyncio.run(story())
    assert tree.share == USUAL


def test_where_nobody_counts_processes_the_share_stays(tree: Tree) -> None:
    async def story() -> None:
        leaf = Leaf({})
        tree.hurry.begin(leaf)
        assert tree.share == USUAL
        tree.hurry.end(leaf)

    asyncio.run(story())
    assert tree.share == USUAL


def test_where_nobody_shares_out_the_processor_a_cell_of_many_processes_ends_all_the_same(tree: Tree) -> None:
    async def story() -> None:
        nobodys = KillBoost(Cgroups("server", {}))
        leaf = tree.leaf("a", 64)
        nobodys.begin(leaf)
        assert leaf in nobodys._ending
        nobodys.end(leaf)
        assert not nobodys._ending

    asyncio.run(story())
    assert tree.share == USUAL
