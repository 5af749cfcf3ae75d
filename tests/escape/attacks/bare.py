"""What cells without namespaces (tiers B and C) must stop all the same: code for the hostile function."""

from __future__ import annotations

from typing import Any

# (number, name, code, what stops it: the same in both tiers, or by tier)
ATTACKS: list[tuple[int, str, str, dict[str, tuple[Any, ...]]]] = [
    (1, "read a file of the host", "found = reads(FILE)", {"B": ("EACCES",), "C": ("EACCES",)}),
    (1, "read the passwords of the host",
     "found = sorted({reads(path) for path in ('/etc/shadow', '/etc/passwd', '/etc/hostname', '/root')})",
     {"B": (["EACCES"],), "C": (["EACCES"],)}),
    (5, "write to the system's folders",
     "found = sorted({tried(lambda: os.close(os.open(folder + '/canary', os.O_CREAT | os.O_WRONLY)))"
     " for folder in ('/usr', '/usr/lib', '/etc', '/', '/var/tmp', FOLDER)})",
     {"B": (["EACCES"], ["EACCES", "EROFS"]), "C": (["EACCES"], ["EACCES", "EROFS"])}),
    (5, "write to its own bundle",
     "here = os.getcwd()\n"
     "found = [tried(lambda: os.close(os.open(here + '/new', os.O_CREAT | os.O_WRONLY))),"
     " opens_to_write(here + '/handler.py')]",
     {"B": (["EACCES", "EACCES"],), "C": (["EACCES", "EACCES"],)}),
    (23, "read the server's environment and memory",
     "found = sorted({tried(lambda: os.close(os.open(f'/proc/{pid}/{name}', os.O_RDONLY)))"
     " for pid in (SERVER, os.getppid()) for name in ('environ', 'mem', 'maps', 'cmdline', 'root', 'cwd')})",
     {"B": (["EACCES"], ["EACCES", "EPERM"]), "C": (["EACCES"], ["EACCES", "EPERM"])}),
    (31, "trace the server and its siblings",
     "found = sorted({in_child(lambda: sys_(101, 117, 16, pid, 0, 0)) for pid in (SERVER, os.getppid())}"
     " | {in_child(lambda: sys_(310, 270, pid, None, 0, None, 0, 0)) for pid in (SERVER, os.getppid())})",
     {"B": (["SIGSYS"],), "C": (["SIGSYS"],)}),
    (32, "signal every process",
     "found = sorted({tried(lambda: os.kill(pid, 0)) for pid in (SERVER, -SERVER, os.getppid(), 1)})",
     {"B": (["EPERM"], ["EPERM", "ESRCH"]), "C": (["EPERM"], ["EPERM", "ESRCH"])}),
    (46, "connect to an abstract Unix socket of the host",
     "found = tried(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + ABSTRACT))",
     {"B": ("EPERM", "EAFNOSUPPORT"), "C": ("EPERM", "EAFNOSUPPORT")}),
    (47, "connect to a named Unix socket of the host",
     "found = tried(lambda: socket.socket(socket.AF_UNIX).connect(SOCKET))",
     {"B": ("EPERM", "EAFNOSUPPORT"), "C": ("EPERM", "EAFNOSUPPORT")}),
    (50, "open a socket of any family",
     "found = sorted({tried(lambda: socket.socket(family, kind, 0).close())"
     " for family, kind in ((16, 3), (17, 3), (40, 1), (38, 5), (2, 1), (10, 2), (1, 1))})",
     {"B": (["EAFNOSUPPORT"], ["EPERM"], ["EAFNOSUPPORT", "EPERM"]),
      "C": (["EAFNOSUPPORT"], ["EPERM"], ["EAFNOSUPPORT", "EPERM"])}),
    (54, "find a descriptor beside the five",
     "found = [number for number in range(5, 1024) if tried(lambda: os.fstat(number) and None) == 'ok']",
     {"B": ([],), "C": ([],)}),
    (65, "reach a server on the host's loopback",
     "found = tried(lambda: socket.create_connection(('127.0.0.1', PORT), 3).close())",
     {"B": ("EPERM", "EAFNOSUPPORT"), "C": ("EPERM", "EAFNOSUPPORT")}),
]  # fmt: skip

LEAVE = """
def deep():
    os.chdir(os.environ["TMPDIR"])
    for _ in range(1000):
        os.mkdir("d")
        os.chdir("d")

def many():
    for number in range(2000):
        os.close(os.open(f"{os.environ['TMPDIR']}/many-{number}", os.O_CREAT | os.O_WRONLY))

here = os.fsencode(os.environ["TMPDIR"])
made = [tried(lambda: open(here + name, "w").close()) for name in (b"/\\xff\\xfe", b"/new\\nline", b"/-rf")]
made += [in_child(deep), tried(many), tried(lambda: os.symlink(FOLDER, here + b"/link"))]
os.chmod(here, 0)
read, write = os.pipe()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(write, b"1")
    os.chmod(here, 0o700)
    while True:
        for old, new in ((b"/link", b"/now"), (b"/d", b"/link"), (b"/now", b"/d")):
            tried(lambda: os.rename(here + old, here + new))
os.read(read, 1)
found = [os.environ["TMPDIR"], made]
"""
