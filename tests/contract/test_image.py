"""The image that ``make image`` builds, run with the options of docs/containers.md and no others."""

from __future__ import annotations

import base64
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.container_root import PROFILE, container_root
from tests.machine.debian_root import MachineMissing, missing
from tests.machine.in_qemu import steps_in_qemu
from tests.support.engine import IMAGE, Container, Engine, has_podman, layers_of
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/containers.md").read_text()
SOURCE = b"""
import os
import numpy

def handle(req):
    return {"body": {"user": os.getuid(), "pid": os.getpid(), "sum": int(numpy.arange(5).sum())}}
"""
CGROUP_VERSION = 1 if Path("/sys/fs/cgroup/memory").is_dir() else 2
CONTAINER_STEPS = ROOT / "tests/machine/container-steps"
COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "make", "ld", "as", "cargo", "go")

pytestmark = [
    pytest.mark.proof,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not has_podman(), reason="needs podman and root"),
]


def options_of(title: str, cgroup_version: int = CGROUP_VERSION) -> list[str]:
    """The options of the command below that title of the page, without those that every test gives itself."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    (command,) = re.findall(r"```sh\npodman run (.*?)```", section, re.DOTALL)
    words = command.replace("\\\n", " ").split()
    options: list[str] = []
    for option, value in itertools.pairwise(words):
        if option in ("--cap-drop", "--cap-add", "--security-opt"):
            options += [option, value.replace("seccomp=seccomp/", f"seccomp={ROOT}/seccomp/")]
    if "unmask=/sys/fs/cgroup" in options and "instead" in section and cgroup_version == 1:
        # As the page says of cgroup v1.
        options += re.findall(r"`(--volume) (/sys/fs/cgroup:\S+)` instead", section)[0]
    return options


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach: pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["rootful", "rootful, the shortest", "rootless", "user namespace"])
def container(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[tuple[str, Container]]:
    user = None
    if request.param == "rootless":
        user = os.environ.get("ROOTLESS_USER")
        if user is None:
            pytest.skip("ROOTLESS_USER names no user with subordinate ids")
    engine = Engine(user, open_folder)
    if user is not None:
        archive = open_folder / "image.tar"
        Engine(None, open_folder).run("save", "--quiet", "--output", str(archive), IMAGE)
        archive.chmod(0o644)
        engine.run("load", "--quiet", "--input", str(archive))
    options = {
        "rootful": lambda: options_of("Run as root"),
        "rootful, the shortest": lambda: ["--cap-add", "SYS_ADMIN"],
        "rootless": lambda: options_of("Run as an ordinary user"),
        "user namespace": lambda: ["--cap-add", "SYS_ADMIN", "--uidmap", "0:300000:5000"],
    }[request.param]()
    made = Container(engine, options)
    try:
        yield request.param, made
    finally:
        made.remove()


def test_it_serves_as_pid_1_in_tier_a_read_only_and_ends_when_it_is_told(
    container: tuple[str, Container],
    server: Server,
) -> None:
    """As root it has every layer that a server beside it has: one or two no processor or kernel gives."""
    kind, served = container
    body = {"name": "sum", "source": {"code": base64.b64encode(SOURCE).decode()}}
    assert served.client.post("/spaces/default/functions", json=body).status_code == 201
    answer = served.client.post("/spaces/default/functions/sum/invoke")
    assert answer.json() == {"user": 1000, "pid": 2, "sum": 10}
    layers = served.layers()
    assert layers["tier"] == "A"
    if kind == "rootful":
        assert layers == layers_of(server.client)
    assert served.stop() == 0


@pytest.mark.timeout(2 * 3600)
def test_on_cgroup_v2_it_does_the_same_rootful_and_rootless_and_every_cell_has_its_limits(
    tmp_path: Path,
) -> None:
    """In a virtual machine: Debian's kernel and podman, with the options of the page (container-steps)."""
    if why := missing():
        pytest.skip(why)
    of_guest = {
        who: [word.replace(f"{ROOT}/seccomp/container.json", PROFILE) for word in options_of(title, 2)]
        for who, title in (("rootful", "Run as root"), ("rootless", "Run as an ordinary user"))
    }
    root = container_root(tmp_path, IMAGE, of_guest)
    try:
        said = steps_in_qemu(root, tmp_path, CONTAINER_STEPS)
    except MachineMissing as error:
        pytest.skip(str(error))
    finally:
        shutil.rmtree(root, ignore_errors=True)  # gigabytes
    assert "\nall steps hold\n" in said, said


def test_no_compiler_is_in_it(tmp_path: Path) -> None:
    look = f"for name in {' '.join(COMPILERS)}; do command -v $name; done; true"
    assert Engine(None, tmp_path).run("run", "--rm", IMAGE, "sh", "-c", look) == ""


def test_the_page_says_its_size(tmp_path: Path) -> None:
    size = int(Engine(None, tmp_path).run("image", "inspect", "--format", "{{.Size}}", IMAGE))
    (said,) = re.findall(r"(\d\.\d\d) GB", PAGE)
    assert abs(size / 1e9 - float(said)) < 0.05


# Options → what check says of a container with them, and what would give more.
LACKING = {
    "nothing": ((), ("FAIL +tier +B", "CAUTION +mounts .*--cap-add SYS_ADMIN")),
    "no capability but one": (
        ("--cap-drop", "ALL", "--cap-add", "SYS_ADMIN"),
        ("FAIL +capabilities .*CAP_SETUID", "CAUTION +own devices .*--cap-add MKNOD"),
    ),
    "no group": (
        ("--cap-add", "SYS_ADMIN"),
        ("CAUTION +cgroup memory .*in a container", "PASS +deploy and call"),
    ),
    "few processes": (("--cap-add", "SYS_ADMIN", "--pids-limit", "20"), ("FAIL +tasks .*--pids-limit",)),
    "little memory": (("--cap-add", "SYS_ADMIN", "--memory", "160m"), ("CAUTION +memory .*--memory",)),
    "no volume": (
        ("--cap-add", "SYS_ADMIN", "--env", "CELLBLOCK_DATA_DIR=/nowhere"),
        ("FAIL +writable data_dir .*volume",),
    ),
}


@pytest.mark.parametrize("lack", LACKING)
def test_what_a_container_lacks_is_found_by_check_with_the_option_that_gives_it(
    lack: str, tmp_path: Path
) -> None:
    options, wanted = LACKING[lack]
    said = Engine(None, tmp_path).run(
        *("run", "--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp"),
        *("--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384"),
        *options, IMAGE, "sh", "-c", "cellblock check; true",
    )  # fmt: skip
    assert [pattern for pattern in wanted if re.search(f"^{pattern}", said, re.MULTILINE) is None] == [], said


def test_with_the_options_of_the_page_check_finds_nothing_that_fails(tmp_path: Path) -> None:
    said = Engine(None, tmp_path).run(
        *("run", "--rm", "--network", "host", "--read-only"),
        *("--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384"),
        *(*options_of("Run as root"), IMAGE, "cellblock", "check"),
    )
    assert re.search(r"^PASS +deploy and call", said, re.MULTILINE), said
    assert "CAUTION  cgroup" not in said


@pytest.mark.parametrize("lack", ["nothing", "no volume"])
def test_a_container_that_lacks_what_it_needs_ends_with_one_line(lack: str, tmp_path: Path) -> None:
    options, _ = LACKING[lack]
    said = Engine(None, tmp_path).run(
        *("run", "--rm", "--network", "host", "--read-only"),
        *("--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384"),
        *(*options, IMAGE, "sh", "-c", "cellblock serve 2>&1; true"),
    )
    errors = [line for line in said.splitlines() if " INFO " not in line]
    assert len(errors) == 1 and errors[0].startswith("cellblock: cannot "), said
