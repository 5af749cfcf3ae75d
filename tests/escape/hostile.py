"""The hostile function that the attack suite deploys: it runs what it is sent, with a few tools at hand.

SOURCE is the tenant's handler.py.  A call's body is JSON: ``code``, and ``know``, what an attacker might
know of the host (paths, pids, ports).  The code leaves its result in ``found``.
"""

from __future__ import annotations

SOURCE = '''
import ctypes
import errno
import json
import os
import platform
import signal
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
IS_X86 = platform.machine() == "x86_64"


def name_of(number):
    """The name of an errno."""
    return errno.errorcode.get(number, str(number))


def tried(attempt):
    """What attempt() gives: "ok", or the errno or exception that stopped it."""
    try:
        result = attempt()
    except OSError as error:
        return name_of(error.errno) if error.errno else type(error).__name__
    except Exception as error:
        return type(error).__name__
    return "ok" if result is None else result


def raw(number, *arguments):
    """One system call by number: "ok", or the errno."""
    passed = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    ctypes.set_errno(0)
    if libc.syscall(ctypes.c_long(number), *passed) >= 0:
        return "ok"
    return name_of(ctypes.get_errno())


def sys_(x86, arm, *arguments):
    """raw() with the number of each architecture; None: it has no such call."""
    number = x86 if IS_X86 else arm
    return "ENOSYS" if number is None else raw(number, *arguments)


def made(get, control, *arguments):
    """Makes a thing of System V by the call ``get`` and removes it by ``control``: "ok", or the errno."""
    number = libc.syscall(*(ctypes.c_long(item) for item in (get[0 if IS_X86 else 1], *arguments)))
    if number < 0:
        return name_of(ctypes.get_errno())
    libc.syscall(*(ctypes.c_long(item) for item in (control[0 if IS_X86 else 1], number, *([0] * 3))))
    return "ok"


def in_child(attempt):
    """attempt() in a forked child: its result as text, or the name of the signal that ended it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(tried(attempt)).encode())
        finally:
            os._exit(0)
    os.close(write)
    text = b""
    while True:
        data = os.read(read, 65536)
        if not data:
            break
        text += data
    os.close(read)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return text.decode(errors="replace")


def reads(path):
    """The first bytes of a file, or why not."""
    def attempt():
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(descriptor, 4096).decode(errors="replace")
        finally:
            os.close(descriptor)
    return tried(attempt)


def opens_to_write(path):
    """Opens and never writes."""
    return tried(lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))


TOOLS = dict(globals())


def handle(req):
    sent = json.loads(req.body)
    names = {**TOOLS, **sent["know"]}
    exec(sent["code"], names)
    return {"body": {"found": names.get("found")}}
'''
