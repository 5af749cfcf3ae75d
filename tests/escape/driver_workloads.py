"""What functions do, in many small pieces; run on every runtime under a cell's filter.

Arguments: the folder of libraries, then names of pieces; without names it prints all names.  Each piece
asserts that it worked.  ``LIBRARIES`` are left out where the runtime does not have the library.
"""

import os
import sys


def texts():
    """json, hashlib, uuid, re, zlib."""
    import hashlib
    import json
    import uuid
    import zlib

    assert json.loads(json.dumps({"a": [1]})) == {"a": [1]}
    assert len(hashlib.sha256(zlib.compress(uuid.uuid4().bytes)).digest()) == 32


def files():
    """tempfile, shutil, pathlib, links, times, modes."""
    import pathlib
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "a").write_bytes(b"x" * 100000)
        shutil.copy2(folder / "a", folder / "b")
        shutil.copytree(folder, folder.parent / (folder.name + "-c"))
        shutil.rmtree(folder.parent / (folder.name + "-c"))
        os.link(folder / "a", folder / "hard")
        os.symlink(folder / "a", folder / "soft")
        assert os.readlink(folder / "soft") and (folder / "soft").stat().st_size == 100000
        os.chmod(folder / "a", 0o600)
        os.utime(folder / "a")
        os.chown(folder / "a", -1, os.getgid())
        os.lchown(folder / "soft", -1, os.getgid())
        os.rename(folder / "b", folder / "d")
        os.truncate(folder / "d", 10)
        shutil.disk_usage(folder)
        assert os.access(folder, os.R_OK) and sorted(os.listdir(folder)) == ["a", "d", "hard", "soft"]
        before = os.getcwd()
        os.chdir(folder)
        os.umask(0o22)
        descriptor = os.open(".", os.O_RDONLY)
        os.fchdir(descriptor)
        os.mkdir("inner", dir_fd=descriptor)
        os.rmdir("inner", dir_fd=descriptor)
        os.rename("d", "e", src_dir_fd=descriptor, dst_dir_fd=descriptor)
        os.link("e", "f", src_dir_fd=descriptor, dst_dir_fd=descriptor)
        os.symlink("e", "g", dir_fd=descriptor)
        os.readlink("g", dir_fd=descriptor)
        os.chmod("f", 0o644, dir_fd=descriptor)
        os.chown("f", -1, -1, dir_fd=descriptor)
        os.access("f", os.R_OK, dir_fd=descriptor)
        os.unlink("f", dir_fd=descriptor)
        os.close(descriptor)
        os.chdir(before)


def descriptors():
    """os's and fcntl's, one by one."""
    import fcntl
    import select
    import tempfile

    with tempfile.TemporaryFile() as file:
        number = file.fileno()
        os.writev(number, [b"ab", b"cd"])
        os.pwrite(number, b"xy", 0)
        os.pwritev(number, [b"z"], 4)
        os.preadv(number, [bytearray(2)], 0)
        assert os.pread(number, 5, 0) == b"xycdz"
        os.lseek(number, 0, 0)
        os.readv(number, [bytearray(2)])
        os.fsync(number)
        os.fdatasync(number)
        os.posix_fallocate(number, 0, 4096)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_NORMAL)
        os.ftruncate(number, 1)
        os.fstatvfs(number)
        os.fchmod(number, 0o600)
        os.fchown(number, -1, os.getgid())
        fcntl.flock(number, fcntl.LOCK_EX)
        fcntl.lockf(number, fcntl.LOCK_EX)
        copy = os.dup(number)
        os.dup2(number, copy, inheritable=False)
        os.dup2(number, copy)
        os.close(copy)
        with tempfile.TemporaryFile() as other:
            os.copy_file_range(number, other.fileno(), 1)
        for name in os.listxattr(number):
            os.getxattr(number, name)
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_inheritable(read, True)
    poll = select.poll()
    poll.register(write)
    assert poll.poll(0)
    assert select.select([], [write], [], 0)[1]
    os.closerange(read, write + 1)
    if hasattr(os, "eventfd"):
        os.close(os.eventfd(0))
    if hasattr(os, "timerfd_create"):
        timer = os.timerfd_create(0)
        os.timerfd_settime(timer, initial=1)
        os.timerfd_gettime(timer)
        os.close(timer)


def identity():
    """Questions about oneself, and the few things one may change of oneself."""
    import platform
    import resource

    (os.getpid(), os.getppid(), os.getpgrp(), os.getpgid(0), os.getsid(0), os.getuid(), os.geteuid())
    (os.getgid(), os.getegid(), os.getresuid(), os.getresgid(), os.getgroups(), os.times(), os.cpu_count())
    (platform.uname(), os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0))
    (os.sched_get_priority_max(1), os.sched_get_priority_min(1), os.getpriority(os.PRIO_PROCESS, 0))
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0))
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.sched_yield()
    resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
    resource.getrusage(resource.RUSAGE_SELF)


def memory():
    """mmap, much memory and less again."""
    import mmap
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.truncate(8192)
        mapped = mmap.mmap(file.fileno(), 8192)
        mapped[:2] = b"ab"
        mapped.flush()
        mapped.resize(16384)
        mapped.madvise(mmap.MADV_DONTNEED)
        mapped.close()
    grown = bytearray(1 << 22)
    grown.extend(bytes(1 << 23))
    del grown


def signals():
    """Handlers, timers, waiting, kill."""
    import faulthandler
    import signal
    import threading
    import time

    faulthandler.enable()
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.alarm(0)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    signal.pause()
    signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert seen
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signal.sigpending() == {signal.SIGUSR1}
    assert signal.sigtimedwait([signal.SIGUSR1], 1)
    signal.signal(signal.SIGUSR2, lambda *_: seen.append(2))
    signal.raise_signal(signal.SIGUSR2)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
    assert seen.count(2) == 2
    time.sleep(0.001)
    time.clock_getres(time.CLOCK_PROCESS_CPUTIME_ID)
    time.process_time()
    time.thread_time()


def threads():
    """Threads, pools, locks with time-outs."""
    import concurrent.futures
    import threading

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    assert not threading.Event().wait(0.01)
    assert threading.get_native_id()


def processes():
    """fork, subprocess, pidfds."""
    import signal
    import subprocess

    assert subprocess.run(["/bin/echo", "x"], stdout=subprocess.PIPE).stdout == b"x\n"
    subprocess.run(["/bin/sh", "-c", "true | true"], start_new_session=True, check=True)
    assert subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE).communicate(b"")[0] is None
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED)


def double(number):
    """For a pool of processes."""
    return 2 * number


def multiprocess():
    """multiprocessing: pools, queues, shared memory, a manager."""
    import multiprocessing
    from multiprocessing import shared_memory

    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]
    block = shared_memory.SharedMemory(create=True, size=64)
    block.close()
    block.unlink()
    with context.Manager() as manager:
        assert manager.list([1])[0] == 1


def asynchronous():
    """asyncio: sockets, processes, pipes, time."""
    import asyncio

    async def serve():
        async def answer(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x\n")
        assert await reader.readline() == b"x\n"
        writer.close()
        server.close()
        child = await asyncio.create_subprocess_exec("/bin/true")
        assert await child.wait() == 0
        await asyncio.sleep(0.001)

    asyncio.run(serve())


def sockets():
    """socket's calls, on loopback and in pairs; socket.sendfile, which falls back."""
    import socket
    import tempfile

    one, two = socket.socketpair()
    socket.send_fds(one, [b"x"], [0])
    assert socket.recv_fds(two, 1, 1)[0] == b"x"
    one.shutdown(socket.SHUT_WR)
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname(), 5)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    accepted, _ = server.accept()
    with tempfile.TemporaryFile() as file:
        file.write(b"y" * 10)
        file.seek(0)
        assert client.sendfile(file) == 10
    assert accepted.recvmsg(20)[0] == b"y" * 10
    assert accepted.getpeername() == client.getsockname()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.sendto(b"z", udp.getsockname())
    assert udp.recvfrom(9)[0] == b"z"
    try:
        socket.getaddrinfo("name.invalid", 80)
    except OSError:
        pass


def database():
    """sqlite3 with and without its write-ahead log."""
    import sqlite3
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for mode in ("wal", "delete"):
            base = sqlite3.connect(folder + "/" + mode)
            base.execute("pragma journal_mode=" + mode)
            base.execute("create table t (x)")
            base.execute("insert into t values (1)")
            base.commit()
            base.close()


def cryptography():
    """ssl and secrets."""
    import secrets
    import ssl

    ssl.create_default_context()
    assert secrets.token_bytes(4)


def archives():
    """zipfile and tarfile."""
    import tarfile
    import tempfile
    import zipfile

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(folder + "/z", "w") as archive:
            archive.writestr("a", "b")
        with zipfile.ZipFile(folder + "/z") as archive:
            archive.extractall(folder)
        with tarfile.open(folder + "/t", "w") as tar:
            tar.add(folder + "/a", "c")
        with tarfile.open(folder + "/t") as tar:
            tar.extract("c", folder)


def numpy():
    """Its threads and big arrays."""
    import numpy

    assert numpy.dot(numpy.ones((400, 400)), numpy.ones((400, 400))).sum() == 400**3


def pandas():
    """A frame."""
    import pandas

    assert pandas.DataFrame({"a": [1, 2]}).a.sum() == 3


def requests():
    """Only imported; its calls are those of sockets."""
    import requests

    assert requests.Session()


PIECES = (
    texts, files, descriptors, identity, memory, signals, threads, processes, multiprocess, asynchronous,
    sockets, database, cryptography, archives,
)  # fmt: skip
LIBRARIES = (numpy, pandas, requests)


def main():
    """The pieces asked for."""
    import importlib.util

    sys.path.append(sys.argv[1])
    for piece in PIECES:
        piece()
    for piece in LIBRARIES:
        if importlib.util.find_spec(piece.__name__):
            piece()
    print("done")


if __name__ == "__main__":
    main()
