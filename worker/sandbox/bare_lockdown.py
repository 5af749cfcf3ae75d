"""The lock-down of a cell without namespaces: tiers B and C, and "none" for development.

Tier B: the server is root in a plain container.  Each cell has a user id of its own, Landlock, and a filter
without sockets.  Tier C: the server is an ordinary user.  Landlock (with its scope of signals) and the filter
separate a cell from the rest, and no process of the server can be traced.  Tier "none" puts descriptors and
clocks in order, and holds nobody.

The rules of ``lockdown`` hold here too.  Its steps are used again wherever they need no namespace.
"""

import os
import resource
from typing import Dict, List, Tuple

from .. import _syscalls as sys_
from ..imports import interpreter
from . import landlock, lockdown, places, rlimits, selftest
from .lockdown import Step
from .lockdown_state import Materials

DEVICE_PATHS = tuple("/dev/" + name for name in selftest.NODES)
# The Landlock ABI that each tier cannot do without: 3 brought truncation, 6 the scope of signals.
TIER_LEAST_ABI = {"B": 3, "C": 6}


def _session(_: Materials) -> None:
    """Begin a session of its own, and adopt orphaned processes below it, so that we can end them."""
    os.setsid()
    sys_.prctl(sys_.PR_SET_CHILD_SUBREAPER, 1)


def _places(materials: Materials) -> None:
    """Take the path of the code from the warden: without a root of its own the cell has no fixed one."""
    places.function_dir = materials.tie.function_dir
    interpreter.name_program(places.handler_path())


def _rlimits(materials: Materials) -> None:
    """The limits of every cell; and, for want of a tmpfs with a size, a limit on each file's size."""
    rlimits.set_data_limit(materials)
    rlimits.lower(*_rlimits_of(materials))


def _rlimits_of(materials: Materials) -> Tuple[Tuple[int, int], ...]:
    return (*rlimits.of(materials), (resource.RLIMIT_FSIZE, materials.tie.tmp_bytes))


def _own_id(materials: Materials) -> None:
    """Tier B: become a user that no other process of the host is."""
    uid = materials.tie.uid
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _no_privileges(_: Materials) -> None:
    """Tier C: check that there are no capabilities to drop, and let none come back."""
    held = sys_.held_capabilities()
    if held:
        raise PermissionError("capabilities are left: %s" % held)
    sys_.prctl(sys_.PR_SET_NO_NEW_PRIVS, 1)


def _landlock(materials: Materials) -> None:
    """Confine files, as a mount namespace does elsewhere; a host without Landlock gets no cell."""
    version = landlock.abi()
    if version < TIER_LEAST_ABI[materials.tier]:
        raise PermissionError(
            "tier %s needs Landlock ABI %d" % (materials.tier, TIER_LEAST_ABI[materials.tier])
        )
    tie = materials.tie
    readable = tuple(path for path in (*tie.readable, tie.function_dir) if os.path.exists(path))
    landlock.restrict(landlock.Policy(readable, (tie.tmp_dir,), (), DEVICE_PATHS, has_network=False), version)
    evidence = "ABI %d of %d" % (min(version, landlock.NEWEST_ABI), version)
    materials.proof.append(("landlock", "enforced", evidence))


def _layers_hold(materials: Materials) -> None:
    """Calls that must fail, before the filter: it would answer instead of Landlock and the user id."""
    limits = (*_rlimits_of(materials), rlimits.open_files(materials))
    known = materials.surroundings
    materials.proof += selftest.without_namespaces(limits, known.outsider, known.keyring)


_HELD: List[Tuple[str, Step]] = [
    ("bound-to-parent", lockdown._bound_to_parent),
    ("keyring", lockdown._keyring),
    ("speculation", lockdown._speculation),
    ("fresh-randomness", lockdown._fresh_randomness),
    ("descriptors", lockdown._descriptors),
    ("open-files", lockdown._open_files),
    ("function-dir", lockdown._function_dir),
    ("landlock", _landlock),
    ("layers-hold", _layers_hold),
    ("seccomp", lockdown._seccomp),
    ("filter-holds", lockdown._filter_holds),
    ("report", lockdown._report),
    ("seal", lockdown._seal),
]

BUILD: List[Tuple[str, Step]] = [("session", _session)]

TIE: Dict[str, List[Tuple[str, Step]]] = {
    "B": [
        ("places", _places),
        ("rlimits", _rlimits),
        ("capability-bounds", lockdown._capability_bounds),
        ("own-id", _own_id),
        ("no-capabilities", lockdown._no_capabilities),
        *_HELD,
    ],
    "C": [
        ("places", _places),
        ("rlimits", _rlimits),
        ("no-privileges", _no_privileges),
        *_HELD,
    ],
    "none": [
        ("places", _places),
        ("bound-to-parent", lockdown._bound_to_parent),
        ("fresh-randomness", lockdown._fresh_randomness),
        ("descriptors", lockdown._descriptors),
        ("open-files", lockdown._open_files),
        ("function-dir", lockdown._function_dir),
        ("report", lockdown._report),
        ("seal", lockdown._seal),
    ],
}
