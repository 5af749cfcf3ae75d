"""``/dev`` as programs expect it: what a process has open by its number, and shared memory."""

from __future__ import annotations

import pytest

from tests.contract.surroundings.conftest import Deploy, body, call_and_log
from tests.support.runtimes import on_every_runtime, runtime_or_skip
from tests.support.server import Server

WRITES = """
import errno, fcntl, logging, multiprocessing, os, subprocess, sys
from multiprocessing import shared_memory

def tried(what):
    try:
        return what()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

def write(path, mode="w"):
    with open(path, mode) as file:
        file.write("to %s by open\\n" % path)

def log(path):
    handler = logging.FileHandler(path)
    logger = logging.getLogger("own")
    logger.propagate = False
    logger.addHandler(handler)
    logger.warning("to %s by logging", path)
    logger.removeHandler(handler)
    handler.close()

def shell(command):
    return subprocess.run(["/bin/sh", "-c", command], check=True).returncode

def shared():
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    block.buf[:3] = b"abc"
    other = shared_memory.SharedMemory(block.name)
    found = bytes(other.buf[:3]).decode()
    other.close()
    block.close()
    block.unlink()
    return found

def child(lock, numbers):
    with lock:
        numbers.value += 1

def counted():
    context = multiprocessing.get_context("fork")
    lock, numbers = context.Lock(), context.Value("i", 0)
    children = [context.Process(target=child, args=(lock, numbers)) for _ in range(2)]
    for one in children:
        one.start()
    for one in children:
        one.join()
    return numbers.value

def handle(req):
    return {"body": {"value": tried(lambda: eval(req.body))}}
"""


def value(server: Server, name: str, expression: str) -> object:
    return body(server.call(name, content=expression))["value"]


@on_every_runtime
@pytest.mark.promise("S135")
def test_what_is_written_to_dev_stdout_and_dev_stderr_is_in_the_log_however_it_is_opened(
    server: Server, deploy: Deploy, runtime_name: str
) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("devices", WRITES, template=runtime_name)
    for path in ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/2"):
        expression = f"[write({path!r}), write({path!r}, 'a'), log({path!r}), shell('echo by sh > {path}')]"
        answer, lines = call_and_log(server, name, content=expression)
        assert body(answer)["value"] == [None, None, None, 0], path
        assert lines == [*[f"to {path} by open"] * 2, f"to {path} by logging", "by sh"]


def test_devices_are_those_of_every_container(server: Server, deploy: Deploy) -> None:
    name = deploy("devices", WRITES)
    assert value(server, name, "[open('/dev/stdin').read(), open('/dev/null').read()]") == ["", ""]
    assert value(server, name, "sorted(os.listdir('/dev/fd'))[:3]") == ["0", "1", "2"]
    for path, expected in (("/dev/zero", True), ("/dev/random", False), ("/dev/urandom", False)):
        assert value(server, name, f"open({path!r}, 'rb').read(8) == bytes(8)") is expected
    assert value(server, name, "os.write(os.open('/dev/full', os.O_WRONLY), b'x')") == "ENOSPC"
    assert value(server, name, "os.write(os.open('/dev/null', os.O_WRONLY), b'x')") == 1
    assert value(server, name, "open('/dev/tty')") in ("ENOENT", "ENXIO")
    # A process's own: one that somebody substitutes, as shells do.
    assert value(server, name, "shell('test \"$(echo a | cat /dev/stdin)\" = a')") == 0


@on_every_runtime
def test_shared_memory_and_semaphores_are_there(server: Server, deploy: Deploy, runtime_name: str) -> None:
    runtime_or_skip(runtime_name)
    name = deploy("devices", WRITES, template=runtime_name, timeout=30)
    assert value(server, name, "shared()") == "abc"
    assert value(server, name, "counted()") == 2


@pytest.mark.needs_root
@pytest.mark.promise("T86")
def test_a_log_pipe_can_be_opened_again_to_write_and_the_channel_not_at_all(
    server: Server, deploy: Deploy
) -> None:
    name = deploy("devices", WRITES)
    tries = "[tried(lambda: os.close(os.open('/proc/self/fd/%d' % n, os.{flag}))) for n in (1, 2, 3, 4)]"
    assert value(server, name, tries.format(flag="O_WRONLY")) == [None, None, "EACCES", "EACCES"]
    for flag in ("O_RDONLY", "O_RDWR"):
        assert value(server, name, tries.format(flag=flag)) == ["EACCES"] * 4
    assert value(server, name, "os.chmod('/proc/self/fd/1', 0o777)") == "EPERM"
    # The files that they are belong to this cell: nobody else's lock is met, and none is left to meet.
    assert (
        value(server, name, "[fcntl.flock(n, fcntl.LOCK_EX | fcntl.LOCK_NB) for n in (1, 2)]") == [None] * 2
    )
    other = deploy("other-devices", WRITES)
    assert (
        value(server, other, "[fcntl.flock(n, fcntl.LOCK_EX | fcntl.LOCK_NB) for n in (0, 1, 2)]")
        == [None] * 3
    )
