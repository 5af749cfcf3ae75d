"""The audit, check by check, with findings made by hand: each shortcoming has a remedy."""

from __future__ import annotations

import os
import platform
import pwd
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from supervisor.settings.declarations import Settings
from supervisor.warden import audit as audit_
from supervisor.warden.audit import CAUTION, CHECKS, FAIL, KNOBS, PASS, AuditLine, audit, controller_state
from supervisor.warden.jail.cgroup_hierarchies import CgroupFolder
from supervisor.warden.jail.cgroups import CONTROLLERS
from supervisor.warden.jail.probes import Finding
from supervisor.warden.jail.tiers import NEEDS, REMEDIES

ALL = frozenset(name for needs in NEEDS.values() for name in needs) | {"landlock"}


def findings(*missing: str, abi: int = 7) -> dict[str, Finding]:
    """The findings of a host that allows everything but these."""
    found = {name: Finding(name, name not in missing, f"seen of {name}") for name in ALL}
    found["landlock"] = Finding("landlock", "landlock" not in missing, f"ABI {abi}")
    return found


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(data_dir=tmp_path / "data", bind="127.0.0.1:0", **more)


def only(checks: list[AuditLine]) -> AuditLine:
    assert len(checks) == 1
    return checks[0]


def well_formed(checks: list[AuditLine]) -> None:
    for check in checks:
        assert check.status in (PASS, CAUTION, FAIL)
        assert check.what
        assert check.found
        assert bool(check.remedy) == (check.status != PASS), check


HOSTS: dict[str, Mapping[str, Finding]] = {
    "everything": findings(),
    "an ordinary user": findings("root"),
    "a plain container": findings("namespaces"),
    "neither": findings("namespaces", "root"),
    "nothing": findings(*ALL),
    "an old landlock": findings("landlock-6", abi=3),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_every_check_is_passed_or_says_what_to_do(check: Any, host: str, tmp_path: Path) -> None:
    well_formed(check(settings(tmp_path), HOSTS[host]))


def test_the_audit_is_all_checks_and_writes_nothing(tmp_path: Path) -> None:
    found = audit(settings(tmp_path), findings())
    well_formed(found)
    assert {"kernel", "tier", "landlock", "cgroup memory", "smt", "descriptors", "data_dir", "user ids",
            "runtimes", "leftovers"} <= {check.what for check in found}  # fmt: skip
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("release", "status"),
    [("6.18.5", PASS), ("6.1.0-28-amd64", PASS), ("5.15.0-91-generic", CAUTION), ("5.12", CAUTION),
     ("5.10.0-33-amd64", FAIL), ("4.19.0", FAIL), ("unknown", FAIL), ("6", FAIL)],
)  # fmt: skip
def test_a_kernel_is_fresh_or_old_or_too_old(
    release: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "release", lambda: release)
    check = only(audit_._kernel(settings(tmp_path), {}))
    assert (check.status, check.found) == (status, release)


@pytest.mark.parametrize(
    ("missing", "least", "status"),
    [((), "auto", PASS), (("root",), "auto", CAUTION), (("namespaces",), "auto", CAUTION),
     (("root",), "A", FAIL), (("namespaces", "root", "landlock-6"), "auto", FAIL)],
)  # fmt: skip
def test_the_tier_fails_where_serve_would_refuse(
    missing: tuple[str, ...], least: str, status: str, tmp_path: Path
) -> None:
    check = only(audit_._tier(settings(tmp_path, min_tier=least), findings(*missing)))
    assert check.status == status
    assert not missing or any(REMEDIES[name] in check.remedy for name in missing)


@pytest.mark.parametrize(("abi", "status"), [(7, PASS), (6, PASS), (5, CAUTION), (1, CAUTION)])
def test_landlock_is_cautioned_below_what_is_used_of_it(abi: int, status: str, tmp_path: Path) -> None:
    assert only(audit_._landlock(settings(tmp_path), findings(abi=abi))).status == status


def test_a_host_without_landlock_is_cautioned(tmp_path: Path) -> None:
    check = only(audit_._landlock(settings(tmp_path), findings("landlock")))
    assert (check.status, check.remedy) == (CAUTION, REMEDIES["landlock"])


def test_a_controller_is_there_where_groups_can_be_made(tmp_path: Path) -> None:
    assert controller_state("memory", None) == (False, "not mounted")
    assert controller_state("memory", CgroupFolder(str(tmp_path), 1))[0]
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    assert controller_state("cpu", CgroupFolder(str(tmp_path), 2))[0]
    assert controller_state("memory", CgroupFolder(str(tmp_path), 2)) == (
        False,
        f"not available in {tmp_path}",
    )
    assert not controller_state("memory", CgroupFolder(f"{tmp_path}/none", 1))[0]


def test_controllers_are_named_one_by_one(tmp_path: Path) -> None:
    assert [check.what for check in audit_._cgroups(settings(tmp_path), {})] == [
        f"cgroup {name}" for name in CONTROLLERS
    ]


def test_a_sysctl_is_good_from_its_least_value_on(tmp_path: Path) -> None:
    for check in audit_._knobs(settings(tmp_path), {}):
        least = next(knob.least for knob in KNOBS if knob.path.replace("/", ".") == check.what)
        assert check.status == (PASS if int(check.found) >= least else CAUTION)
        assert check.status == PASS or check.remedy.startswith(f"sysctl {check.what}={least}")


@pytest.mark.parametrize(
    ("hard", "status"), [(resource.RLIM_INFINITY, PASS), (1 << 20, PASS), (300, FAIL)]
)  # fmt: skip
def test_descriptors_have_to_be_enough_for_every_cell(
    hard: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (hard, hard))
    assert only(audit_._descriptors(settings(tmp_path, max_cells=50), {})).status == status


@pytest.mark.parametrize(("mode", "status"), [(0o755, PASS), (0o700, PASS), (0o775, FAIL), (0o757, FAIL)])
def test_a_data_dir_that_others_write_to_fails(mode: int, status: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    assert only(audit_._data_dir(settings(tmp_path), {})).status == status


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder away")
def test_a_data_dir_of_another_user_fails(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 12_345, 12_345)
    assert only(audit_._data_dir(settings(tmp_path), {})).status == FAIL


def test_user_ids_that_somebody_has_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = pwd.struct_passwd(("ann", "x", 200_003, 1, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [somebody])
    taken = only(audit_._user_ids(settings(tmp_path, cell_uid_base=200_000), findings()))
    assert taken.status == FAIL
    assert "ann" in taken.found
    assert only(audit_._user_ids(settings(tmp_path, cell_uid_base=300_000), findings())).status == PASS
    assert audit_._user_ids(settings(tmp_path, cell_uid_base=200_000), findings("root")) == []


def test_without_a_runtime_nothing_can_be_served(tmp_path: Path) -> None:
    check = only(audit_._runtimes(settings(tmp_path, runtimes_dir=tmp_path / "none"), {}))
    assert check.status == FAIL


def test_groups_in_which_nothing_runs_are_left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_, "read_own_places", lambda: {"": CgroupFolder(str(tmp_path), 2)})
    assert only(audit_._leftovers(settings(tmp_path), {})).status == PASS
    for name, processes in (("cellblock-busy", "12\n"), ("cellblock-idle", ""), ("other", "")):
        (tmp_path / name / "leaf").mkdir(parents=True)
        (tmp_path / name / "leaf/cgroup.procs").write_text(processes)
    check = only(audit_._leftovers(settings(tmp_path), {}))
    assert (check.status, check.found) == (CAUTION, str(tmp_path / "cellblock-idle"))
