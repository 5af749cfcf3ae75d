"""Refuses cells with ``network = host`` the addresses where clouds hand out the machine's credentials.

A BPF program on the cells' cgroup (v2) checks the address of every connect, and of every datagram that names
one.  A refused call fails with EPERM.  A seccomp filter cannot do this, because it does not see addresses,
which are in memory.  Port 53 is allowed: on some clouds the name server has such an address, and it gives no
credentials.

The programs are assembled here, from eight kinds of instruction, without loops and maps.
"""

from __future__ import annotations

import os
import struct
from ipaddress import IPv4Network, IPv6Network, ip_network

from supervisor.warden.jail import _host_syscalls as sys_

# enum bpf_attach_type: connect(2), and send*(2) of a datagram with an address; for IPv4 and for IPv6.
_V4, _V6 = (10, 14), (11, 15)
# Offsets in struct bpf_sock_addr.
_IP4, _IP6, _PORT = 4, 8, 24
_DNS_PORT = int.from_bytes((53).to_bytes(2, "big"), "little")

LINK_LOCAL = ip_network("169.254.0.0/16")
V4 = (
    LINK_LOCAL,  # most clouds, and their container services
    ip_network("168.63.129.16/32"),  # Azure's wire server
    ip_network("100.100.100.200/32"),  # Alibaba's
)
V6 = (
    ip_network("fd00:ec2::/32"),  # Amazon's
    ip_network("fd20:ce::254/128"),  # Google's
    ip_network("fe80::a9fe:a9fe/128"),  # OpenStack's
)
# Prefixes of IPv4 addresses within IPv6: mapped ones, and those of NAT64.
_EMBEDDED = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))

# BPF_LDX|BPF_MEM|BPF_W; BPF_ALU64|BPF_MOV by register and by value; BPF_ALU|BPF_AND; BPF_JMP32|BPF_JEQ and
# BPF_JNE by value; BPF_JMP|BPF_JA; BPF_EXIT.
_LOAD, _COPY, _SET, _AND, _JEQ, _JNE, _JA, _EXIT = 0x61, 0xBF, 0xB7, 0x54, 0x16, 0x56, 0x05, 0x95
_RESULT, _CONTEXT, _SCRATCH, _PORT_REGISTER, _FIRST_WORD = 0, 1, 9, 8, 2
_WORD = 4


def refused_v6() -> tuple[IPv6Network, ...]:
    """Every network that an IPv6 socket may not reach."""
    embedded = [
        IPv6Network((int(prefix.network_address) | int(network.network_address), 96 + network.prefixlen))
        for prefix in _EMBEDDED
        for network in V4
    ]
    return (*(network for network in V6 if isinstance(network, IPv6Network)), *embedded)


def guard(group: str) -> None:
    """Attach the programs to the cgroup v2 folder ``group``, for all processes below it.  Raises OSError."""
    descriptor = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for kinds, program in ((_V4, program_v4()), (_V6, program_v6())):
            for kind in kinds:
                loaded = sys_.load_address_program(program, kind)
                try:
                    sys_.attach_program(descriptor, loaded, kind)
                finally:
                    os.close(loaded)
    finally:
        os.close(descriptor)


def probe() -> None:
    """Raises OSError if ``guard`` could not work here."""
    os.close(sys_.load_address_program(program_v4(), _V4[0]))


def program_v4() -> bytes:
    """The program that checks IPv4 addresses."""
    return _program(_IP4, [network for network in V4 if isinstance(network, IPv4Network)])


def program_v6() -> bytes:
    """The program that checks IPv6 addresses."""
    return _program(_IP6, refused_v6())


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhI", code, source << 4 | target, offset, value)


def _program(place: int, networks: list[IPv4Network] | tuple[IPv6Network, ...]) -> bytes:
    words = networks[0].max_prefixlen // 32
    checks: list[bytes] = []
    for network in networks:
        conditions = [(word, *_of_word(network, word)) for word in range(words)]
        conditions = [condition for condition in conditions if condition[1]]
        for index, (word, mask, value) in enumerate(conditions):
            rest = len(conditions) - index - 1
            checks.append(_instruction(_COPY, _SCRATCH, _FIRST_WORD + word))
            checks.append(_instruction(_AND, _SCRATCH, value=mask))
            # Not this network: jump over its other conditions, three instructions each, and over the jump to
            # the refusal.
            checks.append(_instruction(_JNE, _SCRATCH, offset=3 * rest + 1, value=value))
        checks.append(b"")  # a placeholder for the jump to the refusal
    found = [check or _instruction(_JA, offset=len(checks) - index) for index, check in enumerate(checks)]
    loads = [_instruction(_LOAD, _FIRST_WORD + word, _CONTEXT, place + _WORD * word) for word in range(words)]
    return b"".join(
        [
            _instruction(_SET, _RESULT, value=1),
            _instruction(_LOAD, _PORT_REGISTER, _CONTEXT, _PORT),
            *loads,
            _instruction(_JEQ, _PORT_REGISTER, offset=len(found), value=_DNS_PORT),
            *found,
            _instruction(_EXIT),
            _instruction(_SET, _RESULT, value=0),
            _instruction(_EXIT),
        ]
    )


def _of_word(network: IPv4Network | IPv6Network, word: int) -> tuple[int, int]:
    """Mask and value of one 32-bit word of a network, as a little-endian machine reads it."""
    part = slice(_WORD * word, _WORD * (word + 1))
    mask, value = network.netmask.packed[part], network.network_address.packed[part]
    return int.from_bytes(mask, "little"), int.from_bytes(value, "little")
