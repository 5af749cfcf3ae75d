"""E. Between processes, and side channels; G. Network."""

from __future__ import annotations

from tests.escape.attack import Attack

FAMILIES = {
    "netlink": (16, 3, 0), "packet": (17, 3, 0), "vsock": (40, 1, 0), "alg": (38, 5, 0), "xdp": (44, 3, 0),
    "rxrpc": (33, 2, 0), "tipc": (30, 1, 0), "can": (29, 3, 1), "bluetooth": (31, 3, 0), "key": (15, 3, 2),
    "rds": (21, 5, 0), "nfc": (39, 3, 0), "qipcrtr": (42, 2, 0), "smc": (43, 1, 0), "phonet": (35, 2, 0),
}  # fmt: skip
# What the kernel says of a family that it has not; some it has.
UNFILTERED = ("ok", "EAFNOSUPPORT", "EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EINVAL")
OPEN_SOCKET = "found = tried(lambda: socket.socket({}, {}, {}).close())"
METADATA = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.2.1", "10.0.0.1", "224.0.0.1")

ATTACKS = [
    Attack(
        46,
        "connect to an abstract Unix socket of the host",
        'found = tried(lambda: socket.socket(socket.AF_UNIX).connect("\\0" + ABSTRACT))',
        stopped=("EPERM", "ECONNREFUSED"),
        layers=("net", "ll"),
        stopped_by_one=("EPERM", "ECONNREFUSED"),
        succeeds=("ok",),
        connects="abstract",
    ),
    Attack(
        47,
        "connect to a named Unix socket of the host",
        "found = tried(lambda: socket.socket(socket.AF_UNIX).connect(SOCKET))",
        stopped=("ENOENT",),
        layers=("mnt",),
        # And Landlock does not see it, which is why no socket is ever mounted.
        succeeds=("ok",),
        connects="path",
    ),
    *(
        Attack(
            50,
            f"open a socket of family {name}",
            OPEN_SOCKET.format(*numbers),
            stopped=("EAFNOSUPPORT",),
            layers=("sec",),
            succeeds=UNFILTERED,
            no_control=""
            if name == "netlink"
            else "whether the kernel has the family differs from host to host",
        )
        for name, numbers in FAMILIES.items()
    ),
    Attack(
        51,
        "be told of changes in the shared libraries",
        "import fcntl\nfound = tried(lambda: (fcntl.fcntl(os.open('/usr/lib', os.O_RDONLY), 1026, 0x80000002), None)[1])",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("ok",),
    ),
    Attack(
        51,
        "take a lease on a shared file",
        "import fcntl\nfound = tried(lambda: (fcntl.fcntl(os.open('/function/handler.py', os.O_RDONLY), 1024, 0), None)[1])",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("EACCES", "ok"),
    ),
    Attack(
        52,
        "find the host's device nodes to lock",
        """
mounts = [line.split() for line in open("/proc/self/mountinfo")]
found = sorted(line[4] for line in mounts if line[4].startswith("/dev/") and line[3] != "/")
""",
        stopped=([],),
        layers=("dev",),
        succeeds=(["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"],),
        tiers=("A",),
    ),
    Attack(
        103,
        "make a pipe so large that the host's other pipes are small",
        """
import fcntl
read, write = os.pipe()
found = tried(lambda: (fcntl.fcntl(write, 1031, 1 << 17), None)[1])
""",
        stopped=("EPERM",),
        layers=("sec",),
        succeeds=("ok",),
    ),
    Attack(
        103,
        "make the pipe of its answers so large that the host's other pipes are small",
        """
import fcntl
tried(lambda: fcntl.fcntl(4, 1031, 1 << 20))
tried(lambda: fcntl.fcntl(4, 1031, (1 << 32) + (1 << 20)))
found = fcntl.fcntl(4, 1032) > 1 << 16
""",
        stopped=(False,),
        layers=("sec",),
        succeeds=(True,),
        no_control="the kernel refuses too where the server's user has many pipes; see the pipe of its own",
    ),
    Attack(
        102,
        "learn from the mounts where the host keeps the code",
        """
mounts = [line.split() for line in open("/proc/self/mountinfo")]
found = ["bundles" in line[3] for line in mounts if line[4] == "/function"]
""",
        stopped=([False],),
        layers=("ovl",),
        succeeds=([True],),
        tiers=("A",),
    ),
    Attack(
        102,
        "learn from the mounts which files of the code there are beside it",
        """
text = open("/proc/self/mountinfo").read() + open("/proc/self/mounts").read()
found = "/bundles/" in text
""",
        stopped=(False,),
        layers=("ovl",),
        succeeds=(True,),
        tiers=("A",),
    ),
    Attack(
        54,
        "find a descriptor beside the five",
        """
import fcntl
found = [number for number in range(5, 1024)
         if tried(lambda: (fcntl.fcntl(number, fcntl.F_GETFD), None)[1]) == "ok"]
found = [number in found for number in (5, 50)]
""",
        stopped=([False, False],),
        layers=("fd",),
        succeeds=([False, True],),
        options={"open_files": 100},  # an instance in which no other attack has opened anything
    ),
    Attack(
        64,
        "reach the metadata addresses of clouds",
        f"""
found = sorted({{tried(lambda: socket.create_connection((address, 80), 1).close()) for address in {METADATA!r}}})
""",
        stopped=(["EPERM"],),
        layers=("sec", "net"),
        stopped_by_one=(["EPERM"], ["ENETUNREACH"]),
        also_without=("ll",),
        succeeds=(["ENETUNREACH"],),
        no_control="no packet may leave the host of a test: see the loopback below",
    ),
    Attack(
        65,
        "reach a server on the host's loopback",
        "found = tried(lambda: socket.create_connection(('127.0.0.1', PORT), 3).close())",
        stopped=("EPERM",),
        layers=("sec", "net"),
        also_without=("ll",),
        stopped_by_one=("EPERM", "ECONNREFUSED"),
        succeeds=("ok",),
        connects="http",
    ),
    Attack(
        65,
        "reach a server on the host's loopback under landlock alone",
        "found = tried(lambda: socket.create_connection(('127.0.0.1', PORT), 3).close())",
        stopped=("EPERM",),
        layers=("ll",),
        also_without=("sec", "net"),
        stopped_by_one=("EACCES",),
        succeeds=("ok",),
        connects="http",
    ),
    Attack(
        66,
        "reach other spellings of the loopback",
        """
found = sorted({tried(lambda: socket.create_connection((name, PORT), 3).close())
                for name in ("0.0.0.0", "127.1", "0x7f000001", "2130706433", "localhost", "::1", "::ffff:127.0.0.1")})
""",
        stopped=(["EPERM"],),
        layers=("sec", "net"),
        also_without=("ll",),
        stopped_by_one=(
            ["EPERM"],
            ["ECONNREFUSED"],
            ["ECONNREFUSED", "EADDRNOTAVAIL"],
            ["EADDRNOTAVAIL", "ECONNREFUSED"],
        ),
        succeeds=(["ECONNREFUSED", "ok"], ["ok"]),
        connects="http",
    ),
    *(
        Attack(
            69,
            f"open a {name} socket",
            OPEN_SOCKET.format(*numbers),
            stopped=("EPERM", "EAFNOSUPPORT"),
            layers=("sec",),
            also_without=("cap",),
            succeeds=("ok", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT", "EPERM"),
            no_control="" if name in ("raw IP", "ICMP") else "whether the kernel has the protocol differs",
        )
        for name, numbers in {
            "raw IP": (2, 3, 255),
            "ICMP": (2, 3, 1),
            "raw IPv6": (10, 3, 58),
            "SCTP": (2, 1, 132),
            "DCCP": (2, 6, 33),
            "UDP-Lite": (2, 2, 136),
            "MPTCP": (2, 1, 262),
        }.items()
    ),  # fmt: skip
    Attack(
        70,
        "send data in the first packet of a connection",
        """
def send():
    with socket.socket() as client:
        client.sendto(b"canary", 0x20000000, ("127.0.0.1", PORT))
found = tried(send)
""",
        stopped=("EPERM",),
        layers=("sec", "net"),
        also_without=("ll",),
        stopped_by_one=("EPERM", "ECONNREFUSED", "EOPNOTSUPP"),
        succeeds=("ok", "EOPNOTSUPP", "EINPROGRESS"),
    ),
    Attack(
        71,
        "send a datagram out",
        """
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"canary", ("192.0.2.1", 53))
found = tried(send)
""",
        stopped=("EPERM",),
        layers=("sec", "net"),
        stopped_by_one=("EPERM", "ENETUNREACH"),
        succeeds=("ENETUNREACH",),
        no_control="no packet may leave the host of a test",
    ),
    Attack(
        73,
        "listen for connections from outside",
        """
def listen():
    server = socket.socket()
    server.bind(("0.0.0.0", 0))
    server.listen()
found = tried(listen)
""",
        stopped=("EPERM",),
        layers=("sec",),
        also_without=("net", "ll"),
        succeeds=("ok",),
    ),
]
