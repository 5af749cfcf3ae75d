"""deploy/cellblock.service: well-formed, and on a real systemd unchanged: Debian 12 and 13, cgroup v1 and v2.

The roots are made by debootstrap, the servers installed in them by `make setup` as docs/systemd.md says, and
``tests/machine/steps`` has what is done there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.debian_root import RELEASES, STEPS, DebianRoot, MachineMissing, commit_of, missing
from tests.machine.in_podman import steps_in_podman
from tests.machine.in_qemu import steps_in_qemu

REPOSITORY = Path(__file__).parents[2]
UNIT = REPOSITORY / "deploy/cellblock.service"
PAGE = REPOSITORY / "docs/systemd.md"
VERIFY_SECONDS = 30
# A root and four installations, and then the steps, on a slow line and a translated processor.
PROOF_SECONDS = 2.5 * 3600
SUITES = ("bookworm", "trixie")
HELD = (
    "started when systemctl returned",
    "deployed and called, in tier A, and the journal has no token",
    "check passes in the unit",
    "reloaded under load: the same process, no call lost",
    "the token is rotated while serving",
    "stopped under load: every call that ran was answered, and no process is left",
    "killed, it is started again, with what was deployed",
    "check names each of",
    *(f"upgraded from {release}: what was deployed answers" for release in RELEASES),
)


def directives() -> dict[str, str]:
    lines = (line.partition("=") for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line))
    return {name: value for name, _, value in lines}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    own = tmp_path / UNIT.name
    # It looks for the programs, which are not installed here.
    own.write_text(UNIT.read_text().replace("/opt/cellblock/.venv/bin/cellblock", "/bin/true"))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(own)],
        capture_output=True,
        text=True,
        timeout=VERIFY_SECONDS,
    )
    assert [line for line in ended.stderr.splitlines() if UNIT.name in line] == []


def test_what_the_unit_leaves_out_is_in_its_comment_and_on_the_page() -> None:
    said = UNIT.read_text().partition("# Not here, and why:")[2].partition("[Install]")[0]
    left_out = set(re.findall(r"\b([A-Z]\w+)=", said)) - {"SystemCallFilter"}
    assert len(left_out) >= 8
    assert left_out & set(directives()) == set()
    assert {name for name in left_out if f"`{name}=" not in PAGE.read_text()} == set()


def not_here(why: str) -> None:
    """As elsewhere: what cannot be tried is skipped by name, or fails where the sandbox is required."""
    pytest.fail(why) if os.environ.get("REQUIRE_SANDBOX") == "1" else pytest.skip(why)


@pytest.fixture(scope="module", params=SUITES)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRoot]:
    """A Debian with the server installed, and the released ones beside it."""
    if why := missing():
        not_here(why)
    if not all(commit_of(release) for release in RELEASES):
        pytest.skip("this clone is too shallow: it lacks the commits of released versions")
    folder = tmp_path_factory.mktemp(request.param)
    yield DebianRoot(request.param, folder, RELEASES)
    shutil.rmtree(folder, ignore_errors=True)  # gigabytes, of which pytest would keep three


def judged(said: str) -> None:
    print(said)
    assert "\nall steps hold\n" in said, said
    assert [promise for promise in HELD if f"\nholds: {promise}" not in said] == []
    ((exposure, systemd),) = re.findall(r"^security: (\S+ \w+) on systemd (\d+)", said, re.MULTILINE)
    ((stated, versions),) = re.findall(r"\*\*(\S+ \w+)\*\* \(systemd ([^;]*);", PAGE.read_text())
    assert stated == exposure and systemd in versions


@pytest.mark.proof
@pytest.mark.timeout(PROOF_SECONDS)
def test_the_unit_serves_reloads_drains_restarts_and_upgrades_on_a_real_systemd(root: DebianRoot) -> None:
    """In podman, with the cgroups of this machine."""
    judged(steps_in_podman(root, RELEASES))


@pytest.mark.proof
@pytest.mark.timeout(PROOF_SECONDS)
def test_the_unit_does_the_same_in_a_virtual_machine_with_cgroup_v2(root: DebianRoot, tmp_path: Path) -> None:
    """Under Debian's kernel."""
    try:
        judged(steps_in_qemu(root.path, tmp_path, STEPS, *RELEASES))
    except MachineMissing as error:
        not_here(str(error))
