"""Reads and checks profiles: JSON in the form of an OCI runtime's ``linux.seccomp``.

Three things are ours.  Every rule has a ``why``.  The rules about a system call are tried in the order of the
file: the first whose arguments all fit decides, and if none fits, the default action.  A profile with
``extends`` is a variant of another one: its own rules replace all rules about the names that they mention.

Every mistake in a profile is a ProfileError.  Only the name of a call that another machine has is skipped
without a word.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seccomp.tables import is_known

FOLDER = Path(__file__).parent
# A filter compares 32 bits (``seccomp.compiler``).
LARGEST_VALUE = 0xFFFFFFFF
LARGEST_ERRNO = 4095
ARGUMENTS = 6

ARCHITECTURES = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_AARCH64": "aarch64"}

_PROFILE_KEYS = {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
_VARIANT_KEYS = {"extends", "syscalls"}
_RULE_KEYS = {"names", "action", "errnoRet", "args", "why"}
_ARGUMENT_KEYS = {"index", "value", "valueTwo", "op"}


class ProfileError(ValueError):
    """A profile with a mistake; says in which file and rule, what is wrong and what to do."""


class ActionKind(enum.Enum):
    """What a filter does with a call; the values are the kernel's (linux/seccomp.h)."""

    ALLOW = 0x7FFF0000
    ERRNO = 0x00050000
    KILL_PROCESS = 0x80000000


class Op(enum.Enum):
    """How an argument is compared: unsigned, by its low 32 bits."""

    EQ = "SCMP_CMP_EQ"
    NE = "SCMP_CMP_NE"
    LT = "SCMP_CMP_LT"
    LE = "SCMP_CMP_LE"
    GT = "SCMP_CMP_GT"
    GE = "SCMP_CMP_GE"
    MASKED_EQ = "SCMP_CMP_MASKED_EQ"


class Action(NamedTuple):
    """What a filter does with a call; ``errno`` is 0 unless the kind is ERRNO."""

    kind: ActionKind
    errno: int = 0

    @property
    def code(self) -> int:
        """The 32 bits that a filter returns."""
        return self.kind.value | self.errno


class Argument(NamedTuple):
    """A condition on argument number ``position``; for MASKED_EQ ``(argument & value) == value_two``."""

    position: int
    op: Op
    value: int
    value_two: int = 0


class SyscallRule(NamedTuple):
    """The ``action`` for a call of one of ``names`` that fits all of ``arguments``."""

    names: tuple[str, ...]
    action: Action
    arguments: tuple[Argument, ...]
    why: str


class Profile(NamedTuple):
    """A whole profile; it can be compiled for ``machines``."""

    name: str
    default: Action
    machines: tuple[str, ...]
    rules: tuple[SyscallRule, ...]


def load(name: str) -> Profile:
    """The profile of Cellblock with this name, such as ``cell``; raises ProfileError or OSError."""
    return parse(name, (FOLDER / f"{name}.json").read_text())


def parse(name: str, text: str) -> Profile:
    """The profile in ``text``; ``name`` is for messages.  It can only extend a profile of ours."""
    where = f"{name}.json"
    try:
        content = json.loads(text, object_pairs_hook=_without_doubles)
    except ValueError as error:
        raise ProfileError(f"{where}: not JSON: {error}; correct the file") from None
    if not isinstance(content, dict):
        raise ProfileError(f"{where}: not an object; write one with defaultAction and syscalls")
    if "extends" in content:
        return _variant(where, name, content)
    _only(where, content, _PROFILE_KEYS)
    default = _action(where, content, "defaultAction", "defaultErrnoRet")
    rules = _rules(where, content)
    return _checked(where, Profile(name, default, _machines(where, content), rules))


def _variant(where: str, name: str, content: Mapping[str, Any]) -> Profile:
    _only(where, content, _VARIANT_KEYS)
    base_name = content["extends"]
    if not isinstance(base_name, str) or base_name not in {path.name for path in FOLDER.glob("*.json")}:
        raise ProfileError(f"{where}: extends {base_name!r}, which is no profile of ours; name one that is")
    base_text = (FOLDER / base_name).read_text()
    if "extends" in json.loads(base_text):
        raise ProfileError(f"{where}: extends {base_name}, itself a variant; extend what that one extends")
    base = parse(base_name.removesuffix(".json"), base_text)
    own = _rules(where, content)
    replaced = {one for rule in own for one in rule.names}
    kept = [
        rule._replace(names=tuple(one for one in rule.names if one not in replaced)) for rule in base.rules
    ]
    rules = (*(rule for rule in kept if rule.names), *own)
    return _checked(where, Profile(name, base.default, base.machines, rules))


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key appears twice in {sorted(key for key, _ in pairs)}")
    return found


def _only(where: str, content: Mapping[str, Any], allowed: set[str]) -> None:
    unknown = sorted(set(content) - allowed)
    if unknown:
        raise ProfileError(
            f"{where}: unknown key {unknown[0]!r}; remove it, the keys are {', '.join(sorted(allowed))}"
        )


def _machines(where: str, content: Mapping[str, Any]) -> tuple[str, ...]:
    listed = content.get("architectures")
    if not isinstance(listed, list) or not listed or any(name not in ARCHITECTURES for name in listed):
        raise ProfileError(f"{where}: architectures is {listed!r}; list some of {', '.join(ARCHITECTURES)}")
    return tuple(ARCHITECTURES[name] for name in listed)


def _action(where: str, content: Mapping[str, Any], key: str, errno_key: str) -> Action:
    kinds = {f"SCMP_ACT_{kind.name}": kind for kind in ActionKind}
    word = content.get(key)
    if not isinstance(word, str) or word not in kinds:
        raise ProfileError(f"{where}: {key} is {word!r}; use one of {', '.join(kinds)}")
    kind = kinds[word]
    number = content.get(errno_key, 0)
    if kind is not ActionKind.ERRNO and errno_key in content:
        raise ProfileError(f"{where}: {errno_key} beside {word}, which has none; remove it")
    # With errno 0 a call would succeed without being made.
    if kind is ActionKind.ERRNO and (type(number) is not int or not 0 < number <= LARGEST_ERRNO):
        raise ProfileError(f"{where}: {errno_key} is {number!r}; give an errno, 1 to {LARGEST_ERRNO}")
    return Action(kind, number)


def _rules(where: str, content: Mapping[str, Any]) -> tuple[SyscallRule, ...]:
    listed = content.get("syscalls")
    if not isinstance(listed, list) or not listed:
        raise ProfileError(f"{where}: syscalls is {listed!r}; list at least one rule")
    return tuple(_rule(f"{where}: rule {number}", entry) for number, entry in enumerate(listed, 1))


def _rule(where: str, entry: Any) -> SyscallRule:
    if not isinstance(entry, dict):
        raise ProfileError(f"{where}: {entry!r} is no object; write one with names, action and why")
    names = entry.get("names")
    if not isinstance(names, list) or not names or any(not isinstance(name, str) for name in names):
        raise ProfileError(f"{where}: names is {names!r}; list at least one system call")
    where = f"{where} ({names[0]}{', …' if len(names) > 1 else ''})"
    _only(where, entry, _RULE_KEYS)
    why = entry.get("why")
    if not isinstance(why, str) or not why.strip():
        raise ProfileError(f"{where}: no why; say what needs the call, or what refusing it stops")
    for name in names:
        if not is_known(name):
            raise ProfileError(f"{where}: no machine has a call {name!r}; correct it, or extend tables.py")
    if len(set(names)) != len(names):
        raise ProfileError(f"{where}: a name appears twice; remove one")
    listed = entry.get("args", [])
    if not isinstance(listed, list):
        raise ProfileError(f"{where}: args is {listed!r}; make it a list of conditions")
    arguments = tuple(_argument(f"{where}: argument rule {n}", item) for n, item in enumerate(listed, 1))
    return SyscallRule(tuple(names), _action(where, entry, "action", "errnoRet"), arguments, why)


def _argument(where: str, item: Any) -> Argument:
    if not isinstance(item, dict):
        raise ProfileError(f"{where}: {item!r} is no object; write one with index, op and value")
    _only(where, item, _ARGUMENT_KEYS)
    operators = {op.value: op for op in Op}
    word = item.get("op")
    if not isinstance(word, str) or word not in operators:
        raise ProfileError(f"{where}: op is {word!r}; use one of {', '.join(operators)}")
    op = operators[word]
    if (op is Op.MASKED_EQ) != ("valueTwo" in item):
        raise ProfileError(f"{where}: valueTwo belongs to {Op.MASKED_EQ.value} and nothing else; correct it")
    index, value, value_two = item.get("index"), item.get("value"), item.get("valueTwo", 0)
    if type(index) is not int or not 0 <= index < ARGUMENTS:
        raise ProfileError(f"{where}: index is {index!r}; arguments are numbered 0 to {ARGUMENTS - 1}")
    for key, number in (("value", value), ("valueTwo", value_two)):
        if type(number) is not int or not 0 <= number <= LARGEST_VALUE:
            raise ProfileError(f"{where}: {key} is {number!r}; use 0 to {LARGEST_VALUE}, only 32 bits count")
    assert type(value) is int and type(value_two) is int
    if op is Op.MASKED_EQ and value_two & ~value:
        raise ProfileError(f"{where}: valueTwo has bits that the mask has not, so nothing fits; correct it")
    return Argument(index, op, value, value_two)


def _checked(where: str, profile: Profile) -> Profile:
    """The profile, if each of its rules can be reached; else ProfileError."""
    decided: set[str] = set()
    for number, rule in enumerate(profile.rules, 1):
        late = sorted(decided & set(rule.names))
        if late:
            raise ProfileError(
                f"{where}: rule {number} is never reached for {late[0]}: an earlier one without args "
                "decides; move it up or remove it"
            )
        if not rule.arguments:
            decided |= set(rule.names)
    return profile
