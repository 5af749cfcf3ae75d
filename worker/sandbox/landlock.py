"""Landlock for a cell: a second layer over files, sockets and signals, where the kernel has it.

In a cell with namespaces nothing depends on it; it is there for the day on which a mount is wrong.  The
rights that it asks for follow the kernel's version of the interface (its ABI), which only ever adds rights.
docs/architecture.md says what each version adds and what it still lets through.
"""

import os
import struct
from typing import NamedTuple, Tuple

from .. import _syscalls as sys_

# ABI 1 refuses every rename into another folder, even in /tmp, which is worse than no Landlock.
LEAST_ABI = 2
# The newest version that we have tried; a newer kernel is asked for no more rights than these.
NEWEST_ABI = 6

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = 1, 2, 4, 8, 16, 32
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1, 2

READING = EXECUTE | READ_FILE | READ_DIR
KEEPING = (
    WRITE_FILE | READ_FILE | READ_DIR | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
)
# Devices may be opened and written, not made.  /dev/shm is for memory: nobody needs a socket or a fifo there.
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE
ALL_OF_TMP = KEEPING | EXECUTE | MAKE_SOCK | MAKE_FIFO | MAKE_SYM

_FILE_RIGHTS_OF_ABI_1 = (1 << 13) - 1
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1


class Policy(NamedTuple):
    """Folders and files, by what may be done below them; with ``has_network`` TCP is not restricted."""

    readable: Tuple[str, ...]
    writable: Tuple[str, ...]
    memory: Tuple[str, ...]
    devices: Tuple[str, ...]
    has_network: bool


def abi() -> int:
    """The kernel's version of the interface; 0 if it has no Landlock, or has it switched off."""
    try:
        return sys_.call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:  # ENOSYS: not built in; EOPNOTSUPP: not switched on
        return 0


def restrict(policy: Policy, version: int) -> None:
    """Put this thread under ``policy``; needs ``no_new_privs``.  OSError names the call."""
    version = min(version, NEWEST_ABI)
    files = _FILE_RIGHTS_OF_ABI_1 | REFER
    if version >= 3:
        files |= TRUNCATE
    if version >= 5:
        files |= IOCTL_DEV
    attributes = struct.pack("=Q", files)
    if version >= 4:
        attributes += struct.pack("=Q", 0 if policy.has_network else BIND_TCP | CONNECT_TCP)
    if version >= 6:
        attributes += struct.pack("=Q", SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL)
    ruleset = sys_.call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for paths, rights in (
            (policy.readable, READING),
            (policy.writable, ALL_OF_TMP),
            (policy.memory, KEEPING),
            (policy.devices, DEVICE),
        ):
            for path in paths:
                _allow(ruleset, path, rights & files)
        sys_.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= EXECUTE | DEVICE | IOCTL_DEV  # the kernel refuses a folder's rights on a file
        rule = struct.pack("=Qi", rights, descriptor)
        sys_.call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
