"""``seccomp.profile``: the error for each mistake names its place and the remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seccomp.profile import Action, ActionKind, Argument, Op, ProfileError, load, parse
from seccomp.tables import MACHINES, NUMBERS
from tests.support import rules

CONDITION = {"index": 1, "op": "SCMP_CMP_EQ", "value": 3}
RULE = {"names": ["read"], "action": "SCMP_ACT_ALLOW", "why": "files"}
PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [RULE],
}
# Calls that may never be allowed without a condition.
NEVER_PLAIN = {
    "cell": """
        bpf chroot clone clone3 delete_module execveat fanotify_init fcntl finit_module init_module
        inotify_init1 io_uring_setup ioctl ioperm iopl kcmp kexec_load keyctl memfd_create mincore
        mknodat modify_ldt mount mq_open msgget name_to_handle_at open_by_handle_at open_tree
        openat2 perf_event_open personality pidfd_getfd pivot_root prctl preadv2 prlimit64
        process_madvise process_vm_readv ptrace quotactl reboot sched_setaffinity seccomp sendfile
        sendmsg sendto setns setpriority setresuid setsockopt shmget socket splice swapon syslog tee
        unshare userfaultfd vmsplice
    """,
    "front": """
        bpf capset chroot clone execve execveat io_uring_setup ioctl keyctl mount personality prctl ptrace
        seccomp setgid setgroups setns setresuid setuid socket splice unshare
    """,
    "container": """
        bpf finit_module init_module io_uring_setup kexec_load keyctl open_by_handle_at perf_event_open reboot
        settimeofday socket swapon userfaultfd
    """,
}


def with_rule(**changes: Any) -> dict[str, Any]:
    """PROFILE with its rule changed; None removes a key."""
    rule = {key: value for key, value in {**RULE, **changes}.items() if value is not None}
    return {**PROFILE, "syscalls": [rule]}


def with_condition(**changes: Any) -> dict[str, Any]:
    """PROFILE with one condition, changed."""
    return with_rule(
        args=[{key: value for key, value in {**CONDITION, **changes}.items() if value is not None}]
    )


WRONG = [
    ("not JSON", "{", "not JSON"),
    ("a list", [], "not an object"),
    ("a key twice", '{"a": 1, "a": 2}', "a key appears twice"),
    ("an unknown key", {**PROFILE, "flags": []}, "unknown key 'flags'; remove it"),
    ("an unknown key of a rule", with_rule(includes={}), r"rule 1 \(read\): unknown key 'includes'"),
    ("an unknown key of a condition", with_condition(x=1), r"argument rule 1: unknown key 'x'"),
    ("no why", with_rule(why=None), r"rule 1 \(read\): no why; say what needs the call"),
    ("an empty why", with_rule(why=" "), "no why"),
    ("no names", with_rule(names=[]), "rule 1: names is"),
    ("a name that is none", with_rule(names=["read", "reed"]), "no machine has a call 'reed'; correct it"),
    ("a name twice", with_rule(names=["read", "read"]), "a name appears twice"),
    ("no rules", {**PROFILE, "syscalls": []}, "list at least one rule"),
    ("a rule that is none", {**PROFILE, "syscalls": ["read"]}, "rule 1: 'read' is no object"),
    ("an unknown action", with_rule(action="SCMP_ACT_TRAP"), "action is 'SCMP_ACT_TRAP'; use one of"),
    ("an unknown default", {**PROFILE, "defaultAction": "deny"}, "defaultAction is 'deny'; use one of"),
    ("an errno without ERRNO", with_rule(errnoRet=1), "errnoRet beside SCMP_ACT_ALLOW"),
    ("ERRNO without errno", with_rule(action="SCMP_ACT_ERRNO"), "give an errno"),
    ("errno 0", with_rule(action="SCMP_ACT_ERRNO", errnoRet=0), "errnoRet is 0; give an errno"),
    ("an errno too large", with_rule(action="SCMP_ACT_ERRNO", errnoRet=5000), "errnoRet is 5000"),
    ("errno true", with_rule(action="SCMP_ACT_ERRNO", errnoRet=True), "errnoRet is True"),
    ("an unknown machine", {**PROFILE, "architectures": ["SCMP_ARCH_X86"]}, "architectures is"),
    ("no machine", {**PROFILE, "architectures": []}, "architectures is"),
    ("args that are no list", with_rule(args={}), "args is {}; make it a list"),
    ("a condition that is none", with_rule(args=[1]), "1 is no object"),
    ("an unknown operator", with_condition(op="EQ"), "op is 'EQ'; use one of"),
    ("a seventh argument", with_condition(index=6), "numbered 0 to 5"),
    ("no index", with_condition(index=None), "index is None"),
    ("no value", with_condition(value=None), "value is None"),
    ("64 bits", with_condition(value=1 << 32), "value is 4294967296; use 0 to 4294967295"),
    ("a negative value", with_condition(value=-1), "value is -1"),
    ("a value true", with_condition(value=True), "value is True"),
    ("valueTwo for nothing", with_condition(valueTwo=0), "valueTwo belongs to SCMP_CMP_MASKED_EQ"),
    ("no valueTwo", with_condition(op="SCMP_CMP_MASKED_EQ"), "valueTwo belongs to SCMP_CMP_MASKED_EQ"),
    ("a mask that never fits", with_condition(op="SCMP_CMP_MASKED_EQ", valueTwo=4), "nothing fits"),
    ("an unreachable rule", {**PROFILE, "syscalls": [RULE, RULE]}, "rule 2 is never reached for read"),
    ("a base that is none", {"extends": "other.json", "syscalls": [RULE]}, "no profile of ours"),
    ("a base by a path", {"extends": "../seccomp/cell.json", "syscalls": [RULE]}, "no profile of ours"),
    ("a variant of a variant", {"extends": "cell-bare.json", "syscalls": [RULE]}, "itself a variant"),
    ("a variant with a default", {**PROFILE, "extends": "cell.json"}, "unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_profile_that_is_wrong_is_refused_with_the_place_and_the_remedy(content: Any, said: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(ProfileError, match=said) as caught:
        parse("mine", text)
    assert str(caught.value).startswith("mine.json: ")


def test_a_profile_is_read_as_it_stands() -> None:
    content = with_rule(
        action="SCMP_ACT_ERRNO",
        errnoRet=38,
        args=[CONDITION, {"index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": 6, "valueTwo": 2}],
    )
    profile = parse("mine", json.dumps(content))
    assert profile.default == Action(ActionKind.ERRNO, 1) and profile.machines == ("x86_64",)
    (rule,) = profile.rules
    assert rule.action == Action(ActionKind.ERRNO, 38) and rule.action.code == 0x00050026
    assert rule.arguments == (Argument(1, Op.EQ, 3), Argument(2, Op.MASKED_EQ, 6, 2))
    assert rule.why == "files"


def test_a_name_that_one_machine_lacks_is_skipped_there() -> None:
    assert "fork" in NUMBERS["x86_64"] and "fork" not in NUMBERS["aarch64"]
    assert parse("mine", json.dumps(with_rule(names=["fork"]))).rules[0].names == ("fork",)


def test_a_variant_replaces_all_rules_about_the_names_that_it_mentions() -> None:
    variant = {"extends": "cell.json", "syscalls": [{**RULE, "names": ["socket", "read"]}]}
    found, base = parse("mine", json.dumps(variant)), load("cell")
    about = [rule for rule in found.rules if {"socket", "read"} & set(rule.names)]
    assert [rule.why for rule in about] == ["files"]
    others = {name for rule in base.rules for name in rule.names}
    assert {name for rule in found.rules for name in rule.names} == others
    assert (found.default, found.machines) == (base.default, base.machines)


@pytest.mark.parametrize("name", rules.PROFILES)
def test_our_profiles_are_allow_lists_for_both_machines(name: str) -> None:
    profile = load(name)
    assert profile.default == Action(ActionKind.ERRNO, 1)
    assert profile.machines == MACHINES
    assert all(len(rule.why) > 10 for rule in profile.rules)


@pytest.mark.parametrize("name", rules.PROFILES)
def test_what_is_dangerous_is_never_allowed_without_a_condition(name: str) -> None:
    plain = {
        one for rule in load(name).rules for one in rule.names
        if rule.action.kind is ActionKind.ALLOW and not rule.arguments
    }  # fmt: skip
    assert not plain & set(NEVER_PLAIN[name.partition("-")[0]].split())


def test_what_a_self_test_of_a_cell_tries_never_kills() -> None:
    for name in ("cell", "cell-network", "cell-bare"):
        kills = {
            one
            for rule in load(name).rules
            for one in rule.names
            if rule.action.kind is ActionKind.KILL_PROCESS
        }
        tried = {
            "unshare",
            "mount",
            "setns",
            "keyctl",
            "io_uring_setup",
            "socket",
            "splice",
            "mincore",
            "clone3",
        }
        assert not kills & (tried | {"process_madvise", "pidfd_getfd", "memfd_secret"})
