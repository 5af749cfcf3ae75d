"""Servers in every tier, on a host that gives no more than that: each answers, says what it is, and holds.

The host is this one with probes that say it has no namespaces; cells of tiers B and C prove themselves
as everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor.warden.cells.confinement import PROVEN
from supervisor.warden.jail._host_syscalls import landlock_abi
from supervisor.warden.jail.tiers import REMEDIES, Tier
from supervisor.warden.startup.start_check import TIER_WORDS
from tests.escape.attacks import bare
from tests.escape.canaries import PLACE, Canaries
from tests.escape.conftest import Target
from tests.escape.hostile import SOURCE
from tests.escape.neighbour import Tenant
from tests.support.as_user import ORDINARY_UID
from tests.support.envelope import assert_envelope
from tests.support.processes import all_gone_within, descendants_of, is_deaf, watch, zygotes_of
from tests.support.runtimes import only_default_runtime
from tests.support.server import REPOSITORY, TOKEN, Server
from tests.support.weakened import NO_NAMESPACES, Change, weakened_tree

# The kernel counts a user's processes together, and in tier C holds all of them to a function's limit: each
# server has a user of its own.
OWN_UIDS = range(ORDINARY_UID + 1, ORDINARY_UID + 5)
# The user that starts it, and whether the host gives namespaces.
HOSTS: dict[Tier, tuple[int, bool]] = {
    Tier.A: (0, True),
    Tier.A_USER: (OWN_UIDS[0], True),
    Tier.B: (0, False),
    Tier.C: (OWN_UIDS[1], False),
    Tier.NONE: (OWN_UIDS[2], False),
}
REFUSAL_SECONDS = 60.0  # a start and a stop, on a loaded machine
GONE_SECONDS = 10.0
BARE = ("B", "C")
OWN_IDS = "own-user-ids"
MIB = 1 << 20
GUARD = "supervisor/warden/memory/cell_memory_policy.py"
# Each child is within the limit of a process; together they have three times what the function may.
EATS = """
import json, subprocess, sys, time
CHILD = "import sys; kept = bytearray(80 << 20); print(flush=True); sys.stdin.read()"

def handle(req):
    pipe = subprocess.PIPE
    children = [subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe)
                for _ in range(int(req.body))]
    for child in children:
        child.stdout.readline()
    time.sleep(1.5)
    for child in children:
        child.communicate()
    return {"body": json.dumps([child.returncode for child in children])}
"""


def _abi() -> int:
    try:
        return landlock_abi()
    except OSError:
        return 0


pytestmark = [
    pytest.mark.needs_sandbox,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="becomes several users"),
    pytest.mark.skipif(_abi() < 6, reason="tier C needs Landlock ABI 6"),
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Below a folder that every user may pass: pytest's own are root's alone, and cells of B are others."""
    made = PLACE / f"cellblock-tiers-{os.getpid()}"
    made.mkdir()
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def trees(folder: Path) -> dict[bool, Path]:
    """The interpreters of two copies: one finds namespaces, the other finds none."""
    found = {}
    for has_namespaces in (True, False):
        (folder / f"tree-{has_namespaces}").mkdir(mode=0o755)
        more = () if has_namespaces else (NO_NAMESPACES,)
        found[has_namespaces] = weakened_tree(
            folder / f"tree-{has_namespaces}", frozenset(), *more, self_test=True
        )
    return found


@pytest.fixture(scope="module")
def servers(folder: Path, trees: dict[bool, Path], canaries: Canaries) -> Iterator[Callable[[Tier], Target]]:
    """``servers(tier)``: started when first asked for."""
    running: dict[Tier, Target] = {}
    runtimes = only_default_runtime(folder)

    def get(tier: Tier) -> Target:
        if tier not in running:
            uid, has_namespaces = HOSTS[tier]
            least = {"insecure_dev": "true"} if tier is Tier.NONE else {"min_tier": tier.value}
            server = Server(
                folder / f"data-{tier.value}",
                1,
                python=trees[has_namespaces],
                uid=uid,
                environment=canaries.environment,
                runtimes_dir=runtimes,
                preload="[]",
                blank_cells=1,
                **least,
            )
            running[tier] = Target(server, canaries)
        return running[tier]

    yield get
    for target in running.values():
        assert target.server.stop() == 0, target.server.log


def layers_of(server: Server) -> dict[str, str]:
    """Layer → status, as published."""
    answer = server.client.get("/healthz?verbose")
    assert answer.status_code == 200, answer.text
    return {layer["layer"]: layer["status"] for layer in answer.json()["layers"]}


def why_not(
    python: Path, folder: Path, uid: int, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """What ``cellblock serve`` says where it refuses."""
    data_dir = folder / "refused"
    data_dir.mkdir(exist_ok=True)
    os.chown(data_dir, uid, uid)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    environment.update(HOME=str(data_dir), CELLBLOCK_ADMIN_TOKEN=TOKEN)
    environment.update({f"CELLBLOCK_{name.upper()}": value for name, value in settings.items()})
    command = [
        sys.executable, "-m", "tests.support.as_user", str(uid), str(data_dir), str(python.parents[2]), "--",
        str(python), "-m", "supervisor.cli", "serve", "--data-dir", str(data_dir), *arguments,
    ]  # fmt: skip
    tree = python.parents[2]
    # The copy's packages first, as for every server; this module's own helper from the checkout.
    environment["PYTHONPATH"] = f"{tree}:{REPOSITORY}"
    return subprocess.run(
        command, env=environment, cwd=tree, capture_output=True, text=True, timeout=REFUSAL_SECONDS,
        check=False,
    )  # fmt: skip


@pytest.mark.promise("S51")
@pytest.mark.parametrize("tier", HOSTS, ids=lambda tier: tier.value)
def test_a_server_of_every_tier_answers_and_publishes_what_it_is(
    tier: Tier, servers: Callable[[Tier], Target]
) -> None:
    target = servers(tier)
    assert target.attack("found = 6 * 7", {}) == 42
    answer = target.server.client.get("/healthz?verbose").json()
    assert answer["status"] == "ok"
    layers = {layer["layer"]: layer for layer in answer["layers"]}
    assert layers["tier"]["evidence"] == tier.value
    assert layers["tier"]["status"] == {Tier.A: "enforced", Tier.NONE: "absent"}.get(tier, "degraded")
    assert layers[OWN_IDS]["status"] == ("enforced" if tier in (Tier.A, Tier.B) else "absent")
    assert PROVEN[tier] <= set(layers)
    for name in ("file-locks", "page-cache"):
        assert layers[name]["status"] == "absent", "what nothing stops is said"
    for layer in layers.values():
        assert layer["status"] in ("enforced", "degraded", "absent")
        assert layer["evidence"] or layer["status"] == "enforced", layer


FRESH = """
import os, tempfile
state = []
def handle(req):
    folder = tempfile.gettempdir()
    found = [len(state), os.path.exists(folder + "/mark"), os.getppid() != PARENT]
    state.append(1)
    open(folder + "/mark", "w").close()
    return {"body": {"found": found}}
PARENT = os.getppid()
"""


@pytest.mark.parametrize("tier", HOSTS, ids=lambda tier: tier.value)
def test_in_every_tier_a_fresh_call_finds_nothing_of_another(
    tier: Tier, servers: Callable[[Tier], Target]
) -> None:
    """Forked from a template where pid 1 can tell that nothing is left, else in a cell of its own."""
    server = servers(tier).server
    server.deploy("fresh", FRESH, fresh=True, max_instances=2)
    is_forked = HOSTS[tier][1]
    assert [server.call("fresh").json()["found"] for _ in range(4)] == [[0, False, is_forked]] * 4


@pytest.mark.parametrize("tier", [Tier.B, Tier.C], ids=lambda tier: tier.value)
def test_a_tier_without_namespaces_names_none_of_them_as_a_layer(
    tier: Tier, servers: Callable[[Tier], Target]
) -> None:
    layers = layers_of(servers(tier).server)
    assert {"landlock", "seccomp", "files", "processes", "rlimits", "descriptors"} <= {
        name for name, status in layers.items() if status == "enforced"
    }
    assert not {"mount-namespace", "pid-namespace", "network", "namespaces"} & set(layers)


@pytest.mark.promise("S52")
@pytest.mark.parametrize("tier", HOSTS, ids=lambda tier: tier.value)
def test_the_layers_are_shown_to_the_administrator_only(
    tier: Tier, servers: Callable[[Tier], Target]
) -> None:
    url = servers(tier).server.url
    assert httpx.get(f"{url}/healthz?verbose").status_code == 401
    wrong = httpx.get(f"{url}/healthz?verbose", headers={"Authorization": "Bearer wrong-wrong-wrong-wrong"})
    assert wrong.status_code == 401
    plain = httpx.get(f"{url}/healthz")
    assert plain.status_code == 200
    assert "layers" not in plain.json()


@pytest.mark.parametrize("_", [1, 2], ids=["first", "again"])
def test_insecure_dev_says_so_at_every_start(
    _: int, folder: Path, trees: dict[bool, Path], servers: Callable[[Tier], Target]
) -> None:
    runtimes = servers(Tier.NONE).server  # its folder of runtimes is made
    data_dir = folder / "insecure"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLBLOCK_")}
    environment.update(CELLBLOCK_ADMIN_TOKEN=TOKEN, CELLBLOCK_RUNTIMES_DIR=str(folder / "only"))
    command = [str(trees[True]), "-m", "supervisor.cli", "serve", "--insecure-dev"]
    command += ["--data-dir", str(data_dir), "--bind", "127.0.0.1:0", "--workers", "1"]
    assert runtimes.process.poll() is None
    with subprocess.Popen(
        command,
        cwd=trees[True].parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        said = ""
        for raw in process.stdout:
            said += raw.decode()
            if "ready on" in said:
                break
        process.terminate()
        assert process.wait(REFUSAL_SECONDS) == 0
    assert TIER_WORDS[Tier.NONE] in said
    assert "INSECURE" in said


@pytest.mark.promise("S54")
@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0"])
def test_insecure_dev_refuses_to_listen_where_others_can_connect(
    bind: str, folder: Path, trees: dict[bool, Path]
) -> None:
    done = why_not(trees[True], folder, 0, "--insecure-dev", "--bind", bind)
    assert done.returncode != 0
    assert "loopback only" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ready" not in done.stdout


@pytest.mark.promise("T40")
@pytest.mark.parametrize(
    ("least", "has_namespaces", "gives", "missing"),
    [
        ("A", True, "A-user", ["root"]),
        ("A", False, "C", ["root", "namespaces", "mounts-as-root", "mounts", "proc"]),
        ("A-user", False, "C", ["user-namespace", "namespaces", "mounts", "proc"]),
        ("B", False, "C", ["root"]),
    ],
)
def test_an_ordinary_user_is_told_what_is_missing_and_how_to_get_it(
    least: str, has_namespaces: bool, gives: str, missing: list[str], folder: Path, trees: dict[bool, Path]
) -> None:
    done = why_not(trees[has_namespaces], folder, ORDINARY_UID, "--bind", "127.0.0.1:0", min_tier=least)
    assert done.returncode != 0
    assert f"needs tier {least}" in done.stderr
    assert f"this host gives {gives}" in done.stderr
    assert all(REMEDIES[name] in done.stderr for name in missing), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tier", BARE)
@pytest.mark.parametrize(
    ("code", "stopped"),
    [pytest.param(code, stopped, id=f"{number:03d}-{name.replace(' ', '-')}")
     for number, name, code, stopped in bare.ATTACKS],
)  # fmt: skip
def test_an_attack_is_stopped_without_namespaces_too(
    code: str,
    stopped: dict[str, tuple[Any, ...]],
    tier: str,
    servers: Callable[[Tier], Target],
    canaries: Canaries,
) -> None:
    before = canaries.connections
    target = servers(Tier(tier))
    found = target.attack(code, {})
    assert found in stopped[tier]
    canaries.assert_untouched()
    assert canaries.connections == before
    assert not canaries.leaked_in(str(found))
    assert not canaries.leaked_in(target.server.log)


@pytest.mark.parametrize("tier", BARE)
def test_011_012_what_a_tenant_leaves_in_its_folder_is_removed_and_nothing_outside_is(
    tier: str, servers: Callable[[Tier], Target], canaries: Canaries
) -> None:
    """Where there is no mount namespace to take it away: deep, many, oddly named, swapped meanwhile."""
    server = servers(Tier(tier)).server
    tenant = Tenant(server, "leaves")
    tenant.deploy("mess", SOURCE, tmp=16, timeout=20.0)
    code = bare.LEAVE.replace("FOLDER", repr(os.fsencode(canaries.folder)))
    answer = tenant.call("mess", json.dumps({"code": code, "know": {}}).encode())
    assert answer.status_code == 200, answer.text
    folder, made = answer.json()["found"]
    assert made == ["ok"] * 6
    room = Path(folder).parent
    assert room.is_dir()
    watched = watch([pid for pid in descendants_of(server.pid) if is_deaf(pid)])
    assert watched
    tenant.remove("mess")
    assert all_gone_within(watched, GONE_SECONDS)
    deadline = time.monotonic() + GONE_SECONDS
    while (room.exists() or list(room.parent.glob("*.gone"))) and time.monotonic() < deadline:
        assert server.client.get("/healthz").status_code == 200  # which is also what one waits with
    assert not room.exists()
    assert not list(room.parent.glob("*.gone"))
    canaries.assert_untouched()


def test_018_without_namespaces_a_file_in_the_hosts_tmp_is_for_everybody(
    servers: Callable[[Tier], Target],
) -> None:
    """The control of 18: with no containment it arrives; in tiers B and C it cannot be left."""
    path = f"/tmp/cellblock-{os.getpid()}"
    leave = f"found = tried(lambda: open({path!r}, 'w').write('for you') and None)"
    for tier, left, found in (
        (Tier.NONE, "ok", "for you"), (Tier.B, "EACCES", "ENOENT"), (Tier.C, "EACCES", "ENOENT"),
    ):  # fmt: skip
        target = servers(tier)
        assert target.attack(leave, {}) == left
        other = Tenant(target.server, "another")
        other.deploy("reader", SOURCE)
        body = json.dumps(
            {"code": f"found = reads({path!r})\ntried(lambda: os.unlink({path!r}))", "know": {}}
        )
        assert other.call("reader", body.encode()).json()["found"] == found
    assert not os.path.exists(path)


def test_without_containment_the_same_attacks_succeed(servers: Callable[[Tier], Target]) -> None:
    """The control: the same server, the same code, and a tier that holds nobody."""
    target = servers(Tier.NONE)
    by_name = {(number, name): code for number, name, code, _ in bare.ATTACKS}
    assert target.attack(by_name[1, "read a file of the host"], {}).startswith("canary-")
    assert target.attack(by_name[46, "connect to an abstract Unix socket of the host"], {}) == "ok"
    assert target.attack(by_name[47, "connect to a named Unix socket of the host"], {}) == "ok"
    assert target.attack(by_name[65, "reach a server on the host's loopback"], {}) == "ok"


@pytest.mark.promise("S81")
@pytest.mark.parametrize("tier", [Tier.A_USER, Tier.C], ids=lambda tier: tier.value)
def test_children_that_eat_are_seen_where_no_cgroup_counts(
    tier: Tier, servers: Callable[[Tier], Target]
) -> None:
    server = servers(tier).server
    found = server.client.get("/healthz?verbose").json()["layers"]
    layers = {layer["layer"]: (layer["status"], layer["evidence"]) for layer in found}
    assert layers["cgroup-memory"][0] == "absent"
    assert layers["memory-guard"][0] == "degraded"
    assert "every 0.25 s" in layers["memory-guard"][1]
    server.deploy("eats", EATS, memory=128)
    zygote = min(zygotes_of(server.pid))
    assert server.call("eats", content=b"1").json() == [0], "what it may have it has"
    error = assert_envelope(
        server.call("eats", content=b"5"), 502, "ran out of memory", "its limit is 128 MiB", "peak", "soft"
    )
    assert error["details"]["reason"] == "memory"
    assert 128 * MIB < error["details"]["peak_bytes"] < 512 * MIB
    assert zygote in zygotes_of(server.pid)
    assert server.call("eats", content=b"1").json() == [0], "the next instance is a good one"


def test_the_control_where_nobody_looks_children_have_it_all(
    folder: Path, servers: Callable[[Tier], Target]
) -> None:
    servers(Tier.A_USER)  # its folder of runtimes is made
    blind = Change(GUARD, "LOOK_EVERY_S = 3600.0", old="LOOK_EVERY_S = 0.25")
    (folder / "tree-blind").mkdir(mode=0o755)
    python = weakened_tree(folder / "tree-blind", frozenset(), blind, self_test=True)
    server = Server(
        folder / "data-blind", 1, python=python, uid=OWN_UIDS[3], runtimes_dir=folder / "only",
        preload="[]", blank_cells=1,
    )  # fmt: skip
    try:
        server.deploy("eats", EATS, memory=128)
        assert server.call("eats", content=b"5").json() == [0] * 5
    finally:
        assert server.stop() == 0, server.log
