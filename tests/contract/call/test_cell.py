"""What a function finds around itself: its cell, seen from inside and from the host.

These are the ordinary looks around; attacks are in ``tests/escape``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.call.conftest import Deploy, as_json
from tests.support.processes import all_gone_within, descendants_of, outer_uid, pid_namespace, watch
from tests.support.server import REPOSITORY, TOKEN, Server

ROOT = Path(__file__).resolve().parents[3]
DEVICES = {"/dev"}

# Runs any expression of the test's inside; a failure is told by its kind and errno.
LOOK = """
import ctypes, errno, fcntl, glob, os, platform, resource, signal, socket, stat, subprocess, sys, tempfile

def tried(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except ImportError:
        return "ImportError"
    except ValueError as error:  # how Python tells of an EPERM of setrlimit
        return str(error)

def read(path):
    with open(path) as file:
        return file.read()

def write(path):
    with open(path, "w") as file:
        file.write("x" * 10)
    return "written"

def fill(path, size):
    with open(path, "wb", 0) as file:
        while size > 0:
            size -= file.write(b"x" * min(size, 65536))
    return "filled"

def status(name):
    for line in read("/proc/self/status").splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()

def mounts():
    found = {}
    for line in read("/proc/self/mountinfo").splitlines():
        fields = line.split()
        found[fields[4]] = fields[5].split(",")
    return found

def open_descriptors():
    found = []
    for number in range(1024):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
            found.append(number)
        except OSError:
            pass
    return found

def handle(req):
    return {"body": {"value": eval(req.body)}}
"""


@pytest.fixture(scope="module")
def looker(deploy: Deploy) -> str:
    return deploy("look", LOOK, max_instances=1, tmp=2, timeout=20)


@pytest.fixture(scope="module")
def neighbour(deploy: Deploy) -> str:
    return deploy("neighbour", LOOK, max_instances=1)


def look(server: Server, name: str, expression: str) -> Any:
    """The value of an expression inside the function's cell."""
    return as_json(server.call(name, content=expression))["value"]


def cell_of(server: Server, name: str) -> list[int]:
    """The host's pids of the cell that serves a function."""
    namespace = look(server, name, "os.readlink('/proc/self/ns/pid')")
    found = [pid for pid in descendants_of(server.pid) if pid_namespace(pid) == namespace]
    assert found, namespace
    return found


# ---- processes and identity -----------------------------------------------------------------


@pytest.mark.needs_root
def test_a_cell_has_its_own_namespaces(server: Server, looker: str, neighbour: str) -> None:
    kinds = ("user", "pid", "mnt", "net", "ipc", "uts")
    expression = f"[os.readlink('/proc/self/ns/' + kind) for kind in {kinds!r}]"
    ours = [os.readlink(f"/proc/{server.pid}/ns/{kind}") for kind in kinds]
    one, other = look(server, looker, expression), look(server, neighbour, expression)
    for namespaces in zip(ours, one, other, strict=True):
        assert len(set(namespaces)) == 3, namespaces


def test_a_cell_sees_no_process_but_its_own(server: Server, looker: str) -> None:
    assert look(server, looker, "os.getpid()") < 10
    assert look(server, looker, "os.getppid()") == 1
    pids = look(server, looker, "sorted(int(name) for name in os.listdir('/proc') if name.isdigit())")
    assert look(server, looker, "os.getpid()") in pids
    assert len(pids) <= 2
    assert look(server, looker, "tried(lambda: os.kill(1, 0))") == "EPERM"


def test_a_function_is_an_ordinary_user_inside(server: Server, looker: str) -> None:
    assert look(server, looker, "[*os.getresuid(), *os.getresgid()]") == [1000] * 6
    assert look(server, looker, "os.path.expanduser('~')") == "/tmp"
    assert look(server, looker, "__import__('pwd').getpwuid(os.getuid()).pw_name") == "cell"


@pytest.mark.needs_root
@pytest.mark.promise("T7")
def test_outside_its_user_is_neither_root_nor_the_servers_nor_another_cells(
    server: Server, looker: str, neighbour: str
) -> None:
    one, other = cell_of(server, looker), cell_of(server, neighbour)
    everybody = [server.pid, *descendants_of(server.pid)]
    users = {pid: outer_uid(pid) for pid in everybody if os.path.exists(f"/proc/{pid}")}
    for cell in (one, other):
        elsewhere = {uid for pid, uid in users.items() if pid not in cell}
        inside = {outer_uid(pid) for pid in cell}
        assert 0 not in inside
        assert inside.isdisjoint(elsewhere)
        assert min(inside) >= 100_000


@pytest.mark.promise("T4")
def test_a_function_holds_no_capability_and_can_gain_none(server: Server, looker: str) -> None:
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(look(server, looker, f"status('{name}')"), 16) == 0, name
    assert look(server, looker, "status('NoNewPrivs')") == "1"
    assert look(server, looker, "tried(lambda: os.setuid(0))") == "EPERM"
    assert look(server, looker, "tried(lambda: os.chroot('/tmp'))") == "EPERM"


@pytest.mark.parametrize("flag", ["NEWUSER", "NEWPID", "NEWNS", "NEWNET", "NEWIPC", "NEWUTS", "NEWCGROUP"])
def test_a_function_can_make_no_namespaces_of_its_own(server: Server, looker: str, flag: str) -> None:
    number = {"NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNS": 0x20000, "NEWNET": 0x40000000,
              "NEWIPC": 0x8000000, "NEWUTS": 0x4000000, "NEWCGROUP": 0x2000000}[flag]  # fmt: skip
    call = f"[ctypes.CDLL(None, use_errno=True).unshare({number}), errno.errorcode[ctypes.get_errno()]]"
    assert look(server, looker, call) in ([-1, "EPERM"], [-1, "ENOSPC"])


# ---- files ----------------------------------------------------------------------------------


@pytest.mark.promise("T2")
def test_the_root_is_read_only_and_only_tmp_and_shm_can_be_written(server: Server, looker: str) -> None:
    mounts = look(server, looker, "mounts()")
    writable = {place for place, options in mounts.items() if "ro" not in options}
    assert writable - DEVICES - {"/proc"} == {"/tmp", "/dev/shm"}
    for place in (
        "/x",
        "/etc/passwd",
        "/usr/x",
        "/opt/x",
        "/opt/cellblock/_cellblock/serve/loop.py",
        "/dev/x",
        "/function/x",
    ):
        assert look(server, looker, f"tried(lambda: write({place!r}))") in ("EROFS", "EACCES"), place
    for place in ("/tmp/x", "/dev/shm/x"):
        assert look(server, looker, f"tried(lambda: write({place!r}))") == "written"


@pytest.mark.promise("T71")
def test_the_mounts_say_nothing_of_where_the_host_keeps_its_data(server: Server, looker: str) -> None:
    bundles = {path.name for path in (server.data_dir / "front/bundles").iterdir()}
    digests = {name for name in bundles if re.fullmatch("[0-9a-f]{64}", name)}
    assert digests
    for name in ("mountinfo", "mounts"):
        text = look(server, looker, f"read('/proc/self/{name}')")
        assert " /function " in text, "the control: that is the file"
        assert str(server.data_dir) not in text
        assert "bundles" not in text
        # Other such words may be there, as a container's where the host's libraries lie in its layers.
        assert not digests & set(re.findall("[0-9a-f]{64}", text))
        assert str(REPOSITORY / "worker") not in text and "libraries-" not in text


def test_no_mount_honours_setuid_or_devices(server: Server, looker: str) -> None:
    for place, options in look(server, looker, "mounts()").items():
        assert "nosuid" in options, place
        assert "nodev" in options or place in DEVICES or place == "/proc", place


def test_the_functions_code_is_read_only(server: Server, looker: str) -> None:
    assert look(server, looker, "os.listdir('/function')") == ["handler.py"]
    assert look(server, looker, "os.getcwd()") == "/function"
    assert look(server, looker, "read('/function/handler.py')") == LOOK
    for action in ("write('/function/handler.py')", "os.remove('/function/handler.py')",
                   "os.chmod('/function/handler.py', 0o777)", "os.mkdir('/function/new')"):  # fmt: skip
        assert look(server, looker, f"tried(lambda: {action})") == "EROFS", action


@pytest.mark.promise("T14")
def test_tmp_is_private_bounded_and_gone_with_the_instance(
    server: Server, deploy: Deploy, looker: str, neighbour: str
) -> None:
    assert look(server, looker, "tried(lambda: write('/tmp/mine'))") == "written"
    assert look(server, looker, "os.path.exists('/tmp/mine')") is True
    assert look(server, neighbour, "os.path.exists('/tmp/mine')") is False
    assert not Path("/tmp/mine").exists()
    assert look(server, looker, "tempfile.gettempdir()") == "/tmp"
    assert look(server, looker, "tried(lambda: fill('/tmp/fits', 1 << 20))") == "filled"
    assert look(server, looker, "tried(lambda: fill('/tmp/large', 3 << 20))") == "ENOSPC"
    gone = watch(cell_of(server, looker))
    deploy(looker, LOOK + "# another version\n", max_instances=1, tmp=2, timeout=20)
    assert all_gone_within(gone, 5.0)
    assert look(server, looker, "os.listdir('/tmp')") == []


def test_the_hosts_files_are_not_there(server: Server, looker: str) -> None:
    for path in ("/etc/shadow", "/etc/ssh", "/home", "/var/lib", "/var/log", "/run", "/boot", "/sys", "/mnt",
                 "/srv", str(server.data_dir), str(ROOT / "supervisor"), str(ROOT / "README.md"),
                 "/proc/sys", "/proc/cmdline", "/proc/kallsyms", "/proc/meminfo", "/usr/sbin",
                 "/usr/local/bin"):  # fmt: skip
        if path == "/usr/local/bin" and "/usr/local" in look(server, looker, "sys.base_prefix"):
            continue  # the interpreter's own place
        assert look(server, looker, f"os.path.exists({path!r})") is False, path
    assert look(server, looker, "sorted(os.listdir('/dev'))") == [
        "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero",
    ]  # fmt: skip
    users = look(server, looker, "read('/etc/passwd')").splitlines()
    assert [line.split(":")[0] for line in users] == ["root", "nobody", "cell"]


# ---- the interpreter ------------------------------------------------------------------------


def test_the_server_cannot_be_imported(server: Server, looker: str) -> None:
    for name in ("supervisor", "fastapi", "alembic", "gunicorn", "typer"):
        assert look(server, looker, f"tried(lambda: __import__({name!r}) and 'imported')") == "ImportError"
    assert look(server, looker, "[name for name in sys.modules if name.startswith('supervisor')]") == []
    path = look(server, looker, "sys.path")
    assert path[0] == "/function"
    assert path[-1] == "/opt/cellblock"
    assert not [place for place in path if place.startswith(str(ROOT)) or place.endswith("/worker")]


@pytest.mark.promise("T11")
def test_the_environment_holds_nothing_of_the_servers(server: Server, looker: str) -> None:
    found = look(server, looker, "dict(os.environ)")
    ours = {
        "PATH",
        "HOME",
        "TMPDIR",
        "USER",
        "LOGNAME",
        "LANG",
        "TZ",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
    }
    libraries = {"MPLCONFIGDIR", *(f"{name}_NUM_THREADS" for name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR"))}
    assert set(found) <= ours | libraries
    assert (found["HOME"], found["TMPDIR"], found["TZ"]) == ("/tmp", "/tmp", "UTC")
    assert TOKEN not in str(found)
    child = "subprocess.run(['/bin/sh', '-c', 'env'], capture_output=True, text=True).stdout"
    assert "CELLBLOCK" not in look(server, looker, child)


@pytest.mark.promise("T10")
def test_only_five_descriptors_are_open(server: Server, looker: str) -> None:
    assert look(server, looker, "open_descriptors()") == [0, 1, 2, 3, 4]
    kinds = look(server, looker, "[stat.S_IFMT(os.fstat(number).st_mode) for number in range(5)]")
    assert kinds == [0o020000, 0o010000, 0o010000, 0o010000, 0o010000]  # /dev/null, then pipes
    child = "import os; print(*[n for n in range(256) if os.path.exists('/proc/self/fd/%d' % n)])"
    ran = f"subprocess.run([sys.executable, '-I', '-c', {child!r}], stdout=subprocess.PIPE, text=True).stdout"
    assert look(server, looker, ran).split()[:3] == ["0", "1", "2"]
    assert not {"3", "4"} & set(look(server, looker, ran).split()[3:-1])


def test_limits_of_the_options_hold_and_cannot_be_raised(server: Server, deploy: Deploy) -> None:
    name = deploy("limited", LOOK, open_files=32, processes=8)
    assert look(server, name, "resource.getrlimit(resource.RLIMIT_NOFILE)") == [32, 32]
    assert look(server, name, "tried(lambda: [open('/dev/null') for _ in range(40)])") == "EMFILE"
    raised = "tried(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))"
    assert look(server, name, raised) in ("EPERM", "not allowed to raise maximum limit")


# ---- names and network ----------------------------------------------------------------------


def test_the_hosts_name_is_not_told(server: Server, looker: str) -> None:
    assert look(server, looker, "[socket.gethostname(), platform.node()]") == ["cell", "cell"]


def test_without_a_network_every_internet_socket_is_a_permission_error(server: Server, looker: str) -> None:
    port = int(re.findall(r":(\d+)$", server.url)[0])
    connect = "tried(lambda: socket.create_connection(({host!r}, {port}), 2) and 'connected')"
    assert look(server, looker, connect.format(host="127.0.0.1", port=port)) == "EPERM"
    assert look(server, looker, connect.format(host="192.0.2.1", port=80)) == "EPERM"
    # What talks to itself, as asyncio and multiprocessing do, has Unix sockets.
    own = "(lambda pair: pair[0].send(b'1') and pair[1].recv(1).decode())(socket.socketpair())"
    assert look(server, looker, own) == "1"
    assert look(server, looker, "socket.gethostbyname('localhost')") == "127.0.0.1"
