"""deploy/cellblock.service: well-formed, and on a real systemd unchanged (a Debian root in podman).

The root is made by debootstrap, the server installed in it by `make setup` as docs/systemd.md says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
UNIT = REPOSITORY / "deploy/cellblock.service"
PAGE = REPOSITORY / "docs/systemd.md"
INSTALL_SECONDS = 900
STEP_SECONDS = 120
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates,make,git,curl,libodbc2"
# Variables by which a machine reaches its package registries, and the folders that pip is told of.
OF_REGISTRIES = ("PIP_", "SSL_", "REQUESTS_", "CURL_")
CLIENT = "cd /opt/cellblock; export CELLBLOCK_TOKEN=$(cat /var/lib/cellblock/admin-token); "
SLOW = "import time\\ndef handle(req):\\n    time.sleep(3)\\n    return {'body': 'slow'}\\n"

# Returns once the call runs; steps() has the deadline.
UNTIL_IT_RUNS = (
    'until curl -sH "Authorization: Bearer $CELLBLOCK_TOKEN" http://127.0.0.1:8080/activity '
    "| grep -Eq '\"running\": ?[1-9]'; do sleep 0.1; done"
)

Run = Callable[[str], str]


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
        timeout=STEP_SECONDS,
    )
    assert [line for line in ended.stderr.splitlines() if UNIT.name in line] == []


def test_what_the_unit_leaves_out_is_in_its_comment_and_on_the_page() -> None:
    said = UNIT.read_text().partition("# Not here, and why:")[2].partition("[Install]")[0]
    left_out = set(re.findall(r"\b([A-Z]\w+)=", said)) - {"SystemCallFilter"}
    assert len(left_out) >= 8
    assert left_out & set(directives()) == set()
    assert {name for name in left_out if f"`{name}=" not in PAGE.read_text()} == set()


def steps(*words: str, seconds: int = STEP_SECONDS, **more: str) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, timeout=seconds, env={**os.environ, **more})
    assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A Debian that systemd has booted, with the server installed; ``machine(script)`` is what it prints."""
    if os.geteuid() != 0 or any(shutil.which(each) is None for each in ("debootstrap", "podman", "runc")):
        pytest.skip("needs root, and Debian's debootstrap, podman and runc")
    folder = tmp_path_factory.mktemp("machine")
    root, conf = folder / "root", {"CONTAINERS_CONF": str(folder / "containers.conf")}
    (folder / "containers.conf").write_text("[containers]\ndefault_ulimits = []\n")
    made = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root))
    steps(*made, seconds=INSTALL_SECONDS)
    shutil.copytree("/etc/ssl/certs", root / "etc/ssl/certs", dirs_exist_ok=True)
    for name in ("resolv.conf", "hosts", "pip.conf"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), root / "etc" / name)
    steps("git", "clone", "--quiet", str(REPOSITORY), str(root / "opt/cellblock"))
    given = [f"--env={name}" for name in os.environ if name.startswith(OF_REGISTRIES)]
    links = [path for path in os.environ.get("PIP_FIND_LINKS", "").split() if Path(path).is_dir()]
    volumes = [f"--volume={path}:{path}:ro" for path in links]
    podman = ("podman", "--runtime", "runc")
    common = ("--privileged", "--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384")
    steps(
        *podman, "run", "--rm", *common, "--network=host", *given, *volumes,
        "--rootfs", str(root), "make", "-C", "/opt/cellblock", "setup", seconds=INSTALL_SECONDS, **conf,
    )  # fmt: skip
    name = f"cellblock-unit-{uuid.uuid4().hex[:8]}"
    steps(
        *podman, "run", "--detach", "--name", name, "--systemd=always", *common, "--network=none",
        "--cgroupns=private", "--rootfs", str(root), "/sbin/init", **conf,
    )  # fmt: skip
    try:

        def run(script: str) -> str:
            return steps(*podman, "exec", name, "bash", "-euc", script, **conf)

        run("systemctl is-system-running --wait")
        run("cp /opt/cellblock/deploy/cellblock.service /etc/systemd/system/ && systemctl daemon-reload")
        run("systemctl enable --now cellblock")
        yield run
    finally:
        steps(*podman, "rm", "--force", name, **conf)


@pytest.mark.proof
@pytest.mark.timeout(3 * INSTALL_SECONDS)
def test_the_unit_serves_reloads_drains_restarts_and_upgrades_on_a_real_systemd(machine: Run) -> None:
    cellblock = f"{CLIENT}.venv/bin/cellblock "
    pid = "systemctl show --property MainPID --value cellblock"
    machine(f'printf "{SLOW}" > /tmp/slow.py; {cellblock} deploy /tmp/slow.py --name slow')
    assert machine(f"{cellblock} invoke slow") == "slow"
    layers = machine(f"{cellblock} layers")
    assert {"degraded"} & set(layers.split()) == set(), layers
    # The journal has no token, and what the unit allows is enough for check.
    assert machine("cat /var/lib/cellblock/admin-token").strip() not in machine("journalctl -u cellblock")
    machine(
        "mkdir -p /run/systemd/system/cellblock.service.d; "
        "printf '[Service]\\nExecStartPre=/opt/cellblock/.venv/bin/cellblock check\\n' "
        "> /run/systemd/system/cellblock.service.d/check.conf; "
        "systemctl daemon-reload; systemctl restart cellblock; "
        "rm -r /run/systemd/system/cellblock.service.d; systemctl daemon-reload"
    )
    said = machine("journalctl -u cellblock -o cat")
    assert re.search(r"PASS +deploy and call", said), said
    # Reload under load: the same process, and the call is answered.
    before = machine(pid)
    assert machine(f"{cellblock} invoke slow & {UNTIL_IT_RUNS}; systemctl reload cellblock; wait") == "slow"
    assert machine(pid) == before
    assert "settings were read again" in machine("journalctl -u cellblock -o cat")
    machine("cd /opt/cellblock && .venv/bin/cellblock token rotate --data-dir /var/lib/cellblock")
    # Stop under load: the call that runs is answered.
    assert machine(f"{cellblock} invoke slow & {UNTIL_IT_RUNS}; systemctl stop cellblock; wait") == "slow"
    assert "inactive" in machine("systemctl is-active cellblock || true")
    # Crash: systemd starts it again, with what was deployed.
    machine("systemctl start cellblock")
    before = machine(pid)
    machine(f"kill -KILL $({pid}); until systemctl is-active --quiet cellblock; do sleep 0.2; done")
    assert machine(pid) != before
    assert machine(f"{cellblock} invoke slow") == "slow"
    # Upgrade, as the page says.
    machine("cd /opt/cellblock && echo '# new' >> supervisor/__init__.py && systemctl restart cellblock")
    assert machine(f"{cellblock} invoke slow") == "slow"
    rated = machine("systemd-analyze security cellblock --no-pager")
    exposure = re.findall(r"exposure level for \S+: (\S+ \w+)", rated)
    assert exposure and f"**{exposure[0]}**" in PAGE.read_text()
