"""Servers whose cells lack named layers: the controls of the attack suite.

There is no switch for this in the product.  A *weakened* server is a copy of our packages with a few
lines changed or added, run from a folder of its own; ``WITHOUT`` says which lines, layer by layer.  The
copy has no self-test, or none of its cells would ever serve: that they would not is what
``tests/escape/test_self_proof.py`` shows.

What is taken away is taken away from cells of the test's own; where a layer keeps the host's files from
being written, the control may write to the copy only (see "ro").
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("supervisor", "worker", "function", "seccomp")

LOCKDOWN = "worker/sandbox/lockdown.py"
ZYGOTE = "worker/zygote.py"
LAUNCH = "supervisor/warden/launch/launcher.py"
ROOT = "supervisor/warden/jail/private_root.py"
ZYGOTES = "supervisor/warden/launch/zygote_launch.py"
FRONTS = "supervisor/warden/fronts.py"
WARDEN = "supervisor/warden/warden.py"
CONFINEMENT = "supervisor/warden/cells/confinement.py"
GUARD = "supervisor/warden/memory/memory_guard.py"
CODE = "supervisor/warden/cells/code_mount.py"
HIERARCHIES = "supervisor/warden/jail/cgroup_hierarchies.py"
FREEZER = "supervisor/warden/jail/freezer.py"
DEVICES = "supervisor/warden/jail/device_nodes.py"
KEPT = "worker/fresh/kept_descriptors.py"
PROBES = "supervisor/warden/jail/probes.py"


@dataclass(frozen=True)
class Change:
    """In ``file``: replace ``old``, which has to be there, by ``new``; without ``old``, append ``new``."""

    file: str
    new: str
    old: str = ""


def without_steps(*names: str) -> Change:
    """BUILD and TIE without these steps."""
    return Change(
        LOCKDOWN,
        f"\nBUILD[:] = [step for step in BUILD if step[0] not in {names!r}]\n"
        f"PREPARE[:] = [step for step in PREPARE if step[0] not in {names!r}]\n"
        f"PLACE[:] = [step for step in PLACE if step[0] not in {names!r}]\n"
        f"TIE[:] = [step for step in TIE if step[0] not in {names!r}]\n",
    )


def without_namespace(flag: str) -> Change:
    """Cells cloned without this one."""
    return Change(ZYGOTE, f"flags = CELL_FLAGS & ~sys_.{flag} |", old="flags = CELL_FLAGS |")


# The whole of the host's top level in the cell's root, read-only; /etc then is the host's.
_HOSTS_ROOT = """
_launch_of = zygote_launch_of

def zygote_launch_of(*arguments):
    import dataclasses
    launch = _launch_of(*arguments[:-1], False)  # no huge pages: what they need is at /sys
    root = dataclasses.replace(launch.root, files={}, copies=())
    taken = {place.split("/")[1] for place in root.read_only.values()} - {"etc", "var"}
    for name in os.listdir("/"):
        path = "/" + name
        if name not in taken | {"proc", "dev", "tmp"} and os.path.isdir(path) and not os.path.islink(path):
            root.read_only[path] = path
    return launch._replace(root=root)
"""

# A directory of the host that was left open, as CVE-2024-21626 left one.
LEFT_OPEN_FD = 50
_LEFT_OPEN = f"""
_root_step = _root

def _root(launch):
    descriptor = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.dup2(descriptor, {LEFT_OPEN_FD}, inheritable=True)
    os.close(descriptor)
    _root_step(launch)

STEPS = tuple(_root if step is _root_step else step for step in STEPS)
"""

WITHOUT: dict[str, tuple[Change, ...]] = {
    "sec": (without_steps("seccomp"),),
    "ll": (without_steps("landlock"),),
    # Inner 0 with every capability of its user namespace, as a careless jail leaves it.
    "cap": (without_steps("capability-bounds", "unprivileged-ids", "no-capabilities"),
            Change(LOCKDOWN, "\ndef _nnp(_):\n    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)\n\n"
                   "PREPARE.insert(0, ('nnp', _nnp))\n")),
    # The fronts keep it: their filter asks for it.
    "nnp": (Change(LAUNCH, "    if launch.uid:\n        sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)\n",
                   old="    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)\n"),
            Change(LOCKDOWN, "", old="    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)\n")),
    "knob": (without_steps("no-nested-namespaces"),),
    "memfd": (without_steps("memfd-noexec"),),
    "keyring": (without_steps("keyring"),),
    # And without what Python's own random does after os.fork(), which hides that the step is missing.
    "random": (without_steps("fresh-randomness"),
               Change(ZYGOTE, "import os\nkept, os.register_at_fork = os.register_at_fork, lambda **_: None\n"
                      "import random\nos.register_at_fork = kept\nimport gc\n", old="import gc\n")),
    "mnt": (Change(ZYGOTES, _HOSTS_ROOT),),
    "proc": (Change(LOCKDOWN, '"/proc", "proc", safe | sys_.MS_NOEXEC, "")',
                    old='"/proc", "proc", safe | sys_.MS_NOEXEC, "subset=pid,hidepid=invisible")'),),
    # The host's /proc stays where the zygote has it; pid 1 and the parent are then other numbers.
    "pid": (without_namespace("CLONE_NEWPID"),
            Change(LOCKDOWN, "", old='    sys_.mount("proc", "/proc", "proc", safe | sys_.MS_NOEXEC, '
                   '"subset=pid,hidepid=invisible")\n')),
    "net": (without_namespace("CLONE_NEWNET & ~0"), without_steps("loopback"),
            Change(ZYGOTE, "(0 if network", old="(sys_.CLONE_NEWNET if network")),
    "ipc": (without_namespace("CLONE_NEWIPC"),),
    # Nor does the warden look at what each cell has, as it does where no cgroup counts.
    "cg": (Change(HIERARCHIES, "own_places('', '')", old="own_places(groups.read(), mounts.read())"),
           Change(GUARD, "    def _look(self, cell: _GuardedCell) -> None:\n        return\n",
                  old="    def _look(self, cell: _GuardedCell) -> None:\n")),
    # A function's code is then a mount of the folder where the host keeps it.
    "ovl": (Change(CODE, "\ndef _as_overlay(*_):\n    raise OSError(38, 'taken away')\n"),),
    # The host's own nodes, standard input among them.
    "dev": (Change(DEVICES, "\ndef own_devices():\n    raise PermissionError('taken away')\n"),
            Change(KEPT, "    if True:\n",
                   old="    if materials.has_own_devices or not materials.has_namespaces:\n")),
    # An idle cell is then stopped by a signal, as on hosts without cgroup v2.
    "frz": (Change(FREEZER, "\ndef base_of(places, name):\n    raise LookupError('taken away')\n"),),
    "rl": (without_steps("rlimits", "open-files"),),
    "fd": (Change(LAUNCH, _LEFT_OPEN),
           Change(LOCKDOWN, "", old="    sys_.close_range(UNUSED_FD)\n"),
           Change(LOCKDOWN, "", old="    sys_.close_range(materials.first_foreign_fd)\n"),
           Change(LOCKDOWN, "    return\n    left =", old="    left =")),
    # Only what lies in the copy: our worker package there, and the bundles of the test's own server.
    "ro": (Change(ZYGOTES, 'root.writable[str(package_dir("worker"))]',
                  old='root.read_only[str(package_dir("worker"))]'),
           Change(CODE, "\ndef _as_overlay(*_):\n    raise OSError(38, 'taken away')\n"),
           Change(CODE, "CODE_ATTRIBUTES = sys_", old="CODE_ATTRIBUTES = sys_.MOUNT_ATTR_RDONLY | sys_")),
    "tmp": (without_steps("tmp-size"),
            Change(LOCKDOWN, 'return "mode=1777"', old='return "size=%d,nr_inodes=%d,mode=1777" % '
                   "(size_bytes, max(64, size_bytes // BYTES_PER_INODE))")),
}  # fmt: skip

_NO_SELF_TEST = (
    without_steps("layers-hold", "filter-holds", "limits-hold"),
    Change(
        CONFINEMENT, "return []", old="return sorted(PROVEN[self.tier] - {proven.layer for proven in proof})"
    ),
)


# A host that gives no namespaces, as a plain container or a hardened kernel: tiers B and C.
NO_NAMESPACES = Change(
    PROBES,
    """
def _none_here() -> str:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

for _name in ("user-namespace", "namespaces", "mounts", "mounts-as-root", "proc"):
    PROBES[_name] = _none_here
""",
)


def weakened_tree(folder: Path, without: frozenset[str], *more: Change, self_test: bool = False) -> Path:
    """A copy of our packages below ``folder`` whose cells lack these layers; its interpreter's path.

    ``more`` are changes besides; with ``self_test`` its cells prove themselves as everywhere.
    """
    tree = folder / "tree"
    for package in PACKAGES:
        # With its bytecode, out of date where a line is changed; some is being written just now.
        shutil.copytree(REPOSITORY / package, tree / package, ignore=shutil.ignore_patterns("*.pyc.*"))
    changes = [*more, *(change for name in sorted(without) for change in WITHOUT[name])]
    if not self_test:
        changes += _NO_SELF_TEST
    for change in changes:
        apply(tree, change)
    if "ro" in without:
        for folder, _, files in os.walk(tree / "worker"):
            for name in (".", *files):
                os.chmod(f"{folder}/{name}", 0o777)
    # With -I only an environment's own path counts: one that finds the copy first, then what we have.
    library = tree / f"venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    library.mkdir(parents=True)
    site_packages = [path for path in sys.path if path.endswith("site-packages")]
    (library / "weakened.pth").write_text("\n".join([str(tree), *site_packages]) + "\n")
    (tree / "venv/bin").mkdir()
    (tree / "venv/bin/python").symlink_to(os.path.realpath(sys.executable))
    (tree / "venv/pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    # Fronts see what they are shown; our own environment has their libraries.
    apply(tree, Change(FRONTS, f"{{{sys.prefix!r}, sys.base_prefix,", old="{sys.base_prefix,"))
    return tree / "venv/bin/python"


def apply(tree: Path, change: Change) -> None:
    """One change; a line that is not there any more is a failure, not a weaker control."""
    path = tree / change.file
    text = path.read_text()
    if change.old:
        assert text.count(change.old) >= 1, f"{change.file} has no {change.old!r}"
        path.write_text(text.replace(change.old, change.new))
    else:
        head, main, tail = text.partition('\nif __name__ == "__main__":')
        path.write_text(head + change.new + main + tail)
