"""``cellblock check``: audits the host item by item, with a remedy for each shortcoming.

It reads and tries things, and writes nothing; ``supervisor.cli.checking`` performs a deploy and a call.
PASS: as it should be.  CAUTION: the server works, but weaker than it could be.  FAIL: ``cellblock serve``
would refuse to start, or cells would not be contained.
"""

from __future__ import annotations

import functools
import os
import platform
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.errors import ConfigurationError
from supervisor.function_limits import MIB, Limits
from supervisor.runtimes import load_runtimes
from supervisor.settings.declarations import Settings
from supervisor.warden.cells import uid_pool
from supervisor.warden.jail import id_maps, metadata_routes, tiers
from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder, read_own_places
from supervisor.warden.jail.cgroups import CONTROLLERS, group_name
from supervisor.warden.jail.probes import Finding
from supervisor.warden.memory import counter_check
from supervisor.warden.memory.memory_meters import Meter
from supervisor.warden.startup import resource_budget, start_check
from supervisor.warden.startup.descriptor_limit import DESCRIPTORS_BESIDES, DESCRIPTORS_PER_CELL

PASS, CAUTION, FAIL = "PASS", "CAUTION", "FAIL"
# Has mount_setattr and move_mount for detached trees, and pidfds.
LEAST_KERNEL = (5, 12)
# The oldest long-term kernel that got security fixes when this was written.
FRESH_KERNEL = (6, 1)
# The newest Landlock interface that cells use.
LANDLOCK_USED_ABI = 6
# RLIMIT_SIGPENDING of a cell, as worker.sandbox.rlimits sets it.
PENDING_OF_A_CELL = 32
CGROUP_DIRECTIVES = "Delegate=yes and without ProtectControlGroups=, such as deploy/cellblock.service"
CGROUP_OPTION = "in a container: --security-opt unmask=/sys/fs/cgroup, or of v1 that folder as a volume"
# One comparison costs milliseconds for each process of a cell.
CELLS_COMPARED_MOST = 16


@dataclass(frozen=True)
class AuditLine:
    """One line of the audit."""

    status: str
    what: str
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Knob:
    """A sysctl that makes kernel bugs harder to exploit; ``least`` is the smallest good value."""

    path: str
    least: int
    why: str


KNOBS = (
    Knob("kernel/unprivileged_bpf_disabled", 1, "BPF is a large surface that no function needs"),
    Knob("kernel/kptr_restrict", 1, "kernel addresses help every exploit"),
    Knob("kernel/dmesg_restrict", 1, "the kernel's log shows addresses and other tenants' crashes"),
    Knob("kernel/perf_event_paranoid", 2, "performance counters are a side channel"),
    Knob("kernel/yama/ptrace_scope", 1, "processes of one user should not trace each other"),
)


def _kernel(_: Settings, __: Mapping[str, Finding]) -> list[AuditLine]:
    release = platform.release()
    parts = release.split("-")[0].split(".")
    version = (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() else (0, 0)
    if version < LEAST_KERNEL:
        return [AuditLine(FAIL, "kernel", release, "use Linux 5.12 or later")]
    if version < FRESH_KERNEL:
        return [AuditLine(CAUTION, "kernel", release, "use a kernel that still gets security fixes")]
    return [AuditLine(PASS, "kernel", release)]


def _tier(settings: Settings, findings: Mapping[str, Finding]) -> list[AuditLine]:
    verdict = tiers.decide(findings)
    try:
        tier = start_check.tier_to_serve_in(settings, findings)
    except ConfigurationError as error:
        return [AuditLine(FAIL, "tier", verdict.tier.value, str(error))]
    if tier is tiers.Tier.A:
        return [AuditLine(PASS, "tier", tier.value)]
    return [AuditLine(CAUTION, "tier", tier.value, verdict.why_not(tiers.Tier.A, findings))]


def _landlock(_: Settings, findings: Mapping[str, Finding]) -> list[AuditLine]:
    found = findings["landlock"]
    if not found.works:
        return [AuditLine(CAUTION, "landlock", found.evidence, tiers.REMEDIES["landlock"])]
    abi = int(found.evidence.split()[-1])
    if abi < LANDLOCK_USED_ABI:
        return [AuditLine(CAUTION, "landlock", found.evidence, f"a newer kernel has ABI {LANDLOCK_USED_ABI}")]
    return [AuditLine(PASS, "landlock", found.evidence)]


def controller_state(controller: str, place: CgroupFolder | None) -> tuple[bool, str]:
    """Whether the server could make groups with this controller, found without writing."""
    if place is None:
        return False, "not mounted"
    if not os.access(place.path, os.W_OK):
        return False, f"{place.path} is not writable"
    if place.version == 2:
        listed = Path(f"{place.path}/cgroup.controllers").read_text().split()
        if controller not in listed:
            return False, f"not available in {place.path}"
    return True, f"cgroup v{place.version} at {place.path}"


def _cgroups(_: Settings, __: Mapping[str, Finding]) -> list[AuditLine]:
    places = read_own_places()
    checks = []
    for controller in CONTROLLERS:
        works, found = controller_state(controller, places.get(controller) or places.get(""))
        remedy = "" if works else f"run the server as a unit with {CGROUP_DIRECTIVES}; {CGROUP_OPTION}"
        checks.append(AuditLine(PASS if works else CAUTION, f"cgroup {controller}", found, remedy))
    return checks


def _metadata(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    if settings.ceilings.get("network", "none") == "none":
        return []  # no function gets the host's network
    try:
        metadata_routes.probe()
    except OSError as error:
        remedy = "functions with network = host can take this machine's cloud credentials: give it none"
        return [AuditLine(CAUTION, "metadata addresses", f"not refused: {error}", remedy)]
    return [AuditLine(PASS, "metadata addresses", "refused to functions with network = host")]


def _memory(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    import psutil  # takes 20 ms, so only where it is needed

    each = int(settings.defaults.get("memory", Limits().memory))
    total = psutil.virtual_memory().total // MIB
    wanted = settings.max_cells * each
    found = f"{total} MiB; max_cells with the default of memory may touch {wanted}"
    if wanted > total:
        remedy = (
            "lower max_cells or the default of memory, or rely on functions that touch less than they may"
        )
        return [AuditLine(CAUTION, "memory", found, remedy)]
    return [AuditLine(PASS, "memory", found)]


def _knobs(_: Settings, __: Mapping[str, Finding]) -> list[AuditLine]:
    checks = []
    for knob in KNOBS:
        name = knob.path.replace("/", ".")
        try:
            value = int(Path(f"/proc/sys/{knob.path}").read_text())
        except (OSError, ValueError):
            continue  # a kernel without this sysctl lacks the feature too
        ok = value >= knob.least
        remedy = "" if ok else f"sysctl {name}={knob.least}: {knob.why}"
        checks.append(AuditLine(PASS if ok else CAUTION, name, str(value), remedy))
    return checks


def _processor(_: Settings, __: Mapping[str, Finding]) -> list[AuditLine]:
    checks = []
    try:
        if Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1":
            remedy = "siblings of one core can observe each other: boot with nosmt for hostile tenants"
            checks.append(AuditLine(CAUTION, "smt", "active", remedy))
        else:
            checks.append(AuditLine(PASS, "smt", "inactive"))
    except OSError:
        checks.append(AuditLine(CAUTION, "smt", "unknown", "ask whoever runs the machine below this one"))
    folder = Path("/sys/devices/system/cpu/vulnerabilities")
    open_ones = sorted(
        path.name for path in folder.glob("*") if path.read_text().startswith("Vulnerable")
    )  # one line each
    remedy = "update the kernel and the processor's microcode" if open_ones else ""
    found = ", ".join(open_ones) or "none that the kernel knows is open"
    checks.append(AuditLine(CAUTION if open_ones else PASS, "processor", found, remedy))
    return checks


def _descriptors(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    needed = settings.max_cells * DESCRIPTORS_PER_CELL + DESCRIPTORS_BESIDES
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ok = hard == resource.RLIM_INFINITY or hard >= needed
    remedy = "" if ok else f"raise LimitNOFILE to {needed} or lower max_cells"
    return [
        AuditLine(PASS if ok else FAIL, "descriptors", f"{hard} of {needed} that max_cells needs", remedy)
    ]


def _budget(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    """The limits of all cells together, against what the host has."""
    places = read_own_places()
    host = resource_budget.read_host(places)
    return budget_checks(settings, host, resource.getrlimit(resource.RLIMIT_SIGPENDING)[1])


def budget_checks(settings: Settings, host: resource_budget.HostResources, pending: int) -> list[AuditLine]:
    """The lines about the limits of all cells together; pure."""
    most = resource_budget.budget_for(settings, host)
    checks = [
        _share("processes of all cells", most.processes, host.processes, "cells_processes", 1, ""),
        _share("memory of all cells", most.memory_bytes, host.memory_bytes, "cells_memory", MIB, " MiB"),
    ]
    # A cell that serves has two processes at least: pid 1 and a worker.
    cells = 2 * settings.max_cells
    if cells > most.processes:
        remedy = f"lower max_cells to {most.processes // 2}, or raise kernel.pid_max and kernel.threads-max"
        checks.append(AuditLine(FAIL, "max_cells", f"{settings.max_cells} need {cells} processes", remedy))
    files = settings.max_cells * most.files
    of_host = "no limit" if host.files >= resource_budget.UNLIMITED else host.files
    found = f"{most.files} an instance, {of_host} of the host"
    ok = files <= host.files
    remedy = f"max_cells instances could open {files}: raise fs.file-max, or set instance_files; the server "
    remedy += "ends who has most when three quarters are open"
    checks.append(AuditLine(PASS if ok else CAUTION, "open files", found, "" if ok else remedy))
    ok = pending == resource.RLIM_INFINITY or settings.max_cells * PENDING_OF_A_CELL <= pending // 2
    remedy = f"raise LimitSIGPENDING to {2 * settings.max_cells * PENDING_OF_A_CELL} or lower max_cells"
    found = f"{pending // 2 if pending != resource.RLIM_INFINITY else 'no limit'} for all cells"
    checks.append(AuditLine(PASS if ok else CAUTION, "pending signals", found, "" if ok else remedy))
    return checks


def _share(what: str, most: int, all_of_it: int, setting: str, unit: int, word: str) -> AuditLine:
    found = f"{most // unit}{word} of {all_of_it // unit}{word}"
    if most >= all_of_it:
        return AuditLine(FAIL, what, found, f"lower {setting}: cells could take all that the host has")
    return AuditLine(PASS, what, found)


def _counters(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    """What the kernel counts for the running cells, against what psutil sees of their processes."""
    places = read_own_places()
    place = places.get("memory") or places.get("")
    if place is None:
        return []  # the kernel does not count here: the memory guard reads each process
    what, compared = "memory counters", 0
    base = Path(place.path) / group_name(settings.data_dir)
    for leaf in sorted(base.glob("*/"))[:CELLS_COMPARED_MOST]:
        meter = Meter({"memory": CgroupFolder(str(leaf), place.version)})
        try:
            said = counter_check.compare(
                meter, functools.partial(counter_check.members_of, leaf / "cgroup.procs")
            )
        except PermissionError as error:
            return [AuditLine(CAUTION, what, f"not compared: {error}", "run this as the server's user")]
        if said:
            remedy = (
                "limits of memory do not hold on this kernel: report its version, and serve nobody hostile"
            )
            return [AuditLine(FAIL, what, f"cell {leaf.name}: {said}", remedy)]
        compared += said is not None
    if not compared:
        return [AuditLine(PASS, what, "no cell runs; compared with what psutil sees while some do")]
    return [AuditLine(PASS, what, f"of {compared} cells as psutil sees their processes")]


def _data_dir(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    folder = settings.data_dir
    if not folder.exists():
        return [AuditLine(PASS, "data_dir", f"{folder} does not exist yet")]
    state = folder.stat()
    if state.st_mode & 0o022:
        return [AuditLine(FAIL, "data_dir", f"{folder} is writable for others", f"chmod go-w {folder}")]
    if state.st_uid not in (0, os.geteuid()):
        remedy = "give it to the user that starts the server"
        return [AuditLine(FAIL, "data_dir", f"{folder} belongs to user {state.st_uid}", remedy)]
    return [AuditLine(PASS, "data_dir", str(folder))]


def _user_ids(settings: Settings, findings: Mapping[str, Finding]) -> list[AuditLine]:
    import pwd

    if not findings["root"].works:
        return []
    mapped = id_maps.read()
    try:
        front, _ = uid_pool.front_ids(settings.user, mapped)
        ids = uid_pool.cell_ids(settings.data_dir, settings.cell_uid_base, front, mapped)
    except ConfigurationError as error:
        return [AuditLine(FAIL, "user ids", id_maps.shown(mapped), str(error))]
    first, last = ids[0], min(ids[-1], ids[0] + settings.max_cells * uid_pool.IDS_PER_CELL - 1)
    taken = sorted(entry.pw_name for entry in pwd.getpwall() if first <= entry.pw_uid <= last)
    if taken:
        remedy = "set cell_uid_base to a block of ids that nobody has"
        return [AuditLine(FAIL, "user ids", f"{first}-{last} includes {', '.join(taken)}", remedy)]
    return [AuditLine(PASS, "user ids", f"{first}-{last}")]


def _runtimes(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    try:
        found = load_runtimes(settings.runtimes_dir, settings.default_runtime)
    except ConfigurationError as error:
        return [AuditLine(FAIL, "runtimes", "none", str(error))]
    if not found:
        return [AuditLine(FAIL, "runtimes", "none", "run once: cellblock setup")]
    return [AuditLine(PASS, "runtimes", ", ".join(runtime.name for runtime in found))]


def _leftovers(settings: Settings, _: Mapping[str, Finding]) -> list[AuditLine]:
    left: list[str] = []
    for place in set(read_own_places().values()):
        for group in Path(place.path).glob("cellblock-*"):
            try:
                leaves = [leaf for leaf in group.iterdir() if leaf.is_dir()]
                is_idle = not any((leaf / "cgroup.procs").read_text().strip() for leaf in leaves)
            except OSError:  # it was removed meanwhile
                continue
            if is_idle:
                left.append(str(group))
    if not left:
        return [AuditLine(PASS, "leftovers", "none")]
    remedy = "nothing runs in them: start the server once more with its data_dir, or rmdir them"
    return [AuditLine(CAUTION, "leftovers", ", ".join(sorted(left)), remedy)]


CHECKS: tuple[Callable[[Settings, Mapping[str, Finding]], list[AuditLine]], ...] = (
    _kernel, _tier, _landlock, _cgroups, _memory, _metadata, _knobs, _processor, _descriptors, _budget,
    _counters, _data_dir, _user_ids,
    _runtimes, _leftovers,
)  # fmt: skip


def audit(settings: Settings, findings: Mapping[str, Finding]) -> list[AuditLine]:
    """Run every check.  The order is that of the printed report."""
    return [check for one in CHECKS for check in one(settings, findings)]
