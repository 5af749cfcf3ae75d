"""A Debian root that systemd boots in a container, with the cgroups of this machine."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path

from tests.machine.debian_root import ALLOWED, PODMAN, STEPS, DebianRoot, ran

# Half of it is for starts and ends, on a busy machine; see tests/machine/steps.
STEPS_SECONDS = 1500
# systemd 256 and later want to be told that a host with the first version of cgroups is meant.
OLD_CGROUPS = ("systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1")


def steps_in_podman(root: DebianRoot, releases: tuple[str, ...]) -> str:
    """What the steps printed, to their end or to the first that does not hold."""
    shutil.copy(STEPS, root.path / "opt/steps")
    name = f"cellblock-unit-{uuid.uuid4().hex[:8]}"
    old = OLD_CGROUPS if Path("/sys/fs/cgroup/memory").is_dir() else ()
    ran(
        # Whoever ends these tests with a signal leaves it behind: it ends by itself.
        *PODMAN, "run", "--detach", "--rm", "--timeout", str(2 * STEPS_SECONDS), "--name", name,
        "--systemd=always", *ALLOWED, "--network=none",
        "--cgroupns=private", "--rootfs", f"{root.path}:O", "/sbin/init", *old, **root.configuration,
    )  # fmt: skip
    try:
        # "degraded", which some unit of a container's may cause, has booted too.
        ran(
            *PODMAN,
            "exec",
            name,
            "bash",
            "-c",
            "systemctl is-system-running --wait; true",
            **root.configuration,
        )
        ended = subprocess.run(
            [*PODMAN, "exec", name, "/opt/steps", *releases],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEPS_SECONDS,
            check=False,
        )
        return ended.stdout
    finally:
        ran(*PODMAN, "rm", "--force", "--ignore", "--time", "0", name, **root.configuration)
