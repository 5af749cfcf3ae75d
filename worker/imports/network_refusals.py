"""Explains a refusal of the network: the kernel only says "operation not permitted".

The wall is elsewhere: nothing else is in the cell's network namespace, and the cell's filter refuses every
internet socket.  C libraries and child processes get the kernel's error.  Code that uses Python's ``socket``,
as nearly every library does, gets a sentence that names ``network = none`` and the way out.

The zygote replaces the functions of ``socket``, for most functions have no network.  A worker with the host's
network restores them.  Both the replaced functions and what is logged are state of the process.
"""

import errno
import socket
import sys
from typing import Any, Callable, Dict, Set

from function import _seam

from ..capture import output_capture

# The errors of a look-up that reaches no server; any other is a mistake in the question.
_UNANSWERED = (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME)
_INTERNET = (-1, socket.AF_INET, socket.AF_INET6)
# The file that tracebacks show for these functions, instead of one of ours.
_PLACE = "<network = none>"
# Each call logs one refusal, and code of no call only if no call has.  This is how many calls are remembered.
LOGGED_MOST = 1000
# A host name is no longer (RFC 1035), but what code asks for may be.
NAME_MOST_CHARS = 255

_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")
_plain = {name: getattr(socket, name) for name in _NAMES}
_create = socket.socket.__init__
# The ids of the calls that have logged a refusal.
_logged: Set[str] = set()


class _State:
    is_logging = False  # True once there is code of the function


def _refused(what: str, is_logged: bool = True) -> PermissionError:
    """The exception for the code; once a call also a line in the log, if ``is_logged``."""
    text = (
        "%s: the network of this function is none, so nothing outside its cell can be reached; "
        "deploy it with the option network = host, if this server allows that" % what
    )
    call = _seam.current.get()
    if is_logged and _State.is_logging and (call.call_id not in _logged if call is not None else not _logged):
        if len(_logged) >= LOGGED_MOST:
            _logged.clear()
        _logged.add(call.call_id if call is not None else "")
        try:
            output_capture.put_entry("network: " + text, "warning")
        except OSError:  # the author has closed descriptor 2
            pass
    return PermissionError(errno.EPERM, text)


def _name(host: Any) -> str:
    shown = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
    return "%s cannot be looked up" % shown[:NAME_MOST_CHARS]


def _getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    try:
        return _plain["getaddrinfo"](host, port, family, type, proto, flags)
    except socket.gaierror as error:
        if error.errno not in _UNANSWERED or flags & socket.AI_NUMERICHOST:
            raise
    raise _refused(_name(host))


def _by_one(name: str) -> Callable[[Any], Any]:
    """A replacement for ``gethostbyname`` or a similar function, which take one argument."""
    plain = _plain[name]

    def ask(host: Any) -> Any:
        try:
            return plain(host)
        except socket.gaierror as error:
            if error.errno not in _UNANSWERED:
                raise
        except socket.herror:  # no name server can be reached, whatever the address
            pass
        raise _refused(_name(host))

    return ask


def _init(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:
    try:
        _create(self, family, type, proto, fileno)
        return
    except PermissionError:
        if family not in _INTERNET:
            raise
    # A library that only probes for IPv6 at its import (urllib3's _has_ipv6) did not want to reach anybody.
    caller = sys._getframe(1).f_code.co_name
    raise _refused("no internet socket can be opened", "ipv6" not in caller)


_REPLACED: Dict[str, Callable[..., Any]] = {
    "getaddrinfo": _getaddrinfo,
    **{name: _by_one(name) for name in _NAMES if name != "getaddrinfo"},
}


def forbid() -> None:
    """Replace the functions of ``socket``, in this process and in every cell that it clones."""
    for name, function in _REPLACED.items():
        _disguise(function, name, name)
        setattr(socket, name, function)
    _disguise(_init, "__init__", "socket.__init__")
    _init.__doc__ = _create.__doc__
    socket.socket.__init__ = _init  # type: ignore[method-assign]


def _disguise(function: Any, name: str, qualified: str) -> None:
    """Give a replacement the names of the original, and no file of ours."""
    function.__name__, function.__qualname__, function.__module__ = name, qualified, "socket"
    function.__code__ = function.__code__.replace(co_filename=_PLACE, co_name=name)


def allow() -> None:
    """Restore the functions of ``socket``: this process has the host's network."""
    for name in _REPLACED:
        setattr(socket, name, _plain[name])
    socket.socket.__init__ = _create  # type: ignore[method-assign]


def start_logging() -> None:
    """Write refusals to the function's log, too, from now on."""
    _State.is_logging = True
