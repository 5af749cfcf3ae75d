"""With ``network = none`` a refusal that says so: the kernel's says that something is not permitted.

The wall is not here.  The cell's network has nobody else in it, and its filter refuses every internet
socket; C libraries and child processes get the kernel's own word.  What is here makes one sentence of it,
for whoever asks by way of Python's ``socket``, as nearly every library does.

A zygote forbids, and a worker with a network of the host's allows again: most have none.
"""

import errno
import socket
import sys
from typing import Any, Callable, Dict, Set

from function import _seam

from ..capture import output_capture

# What it looks like where nobody can be asked; anything else is a mistake in the question.
_UNANSWERED = (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_NONAME)
_INTERNET = (-1, socket.AF_INET, socket.AF_INET6)
# Where a traceback takes these functions to be: no file of ours is an author's business.
_PLACE = "<network = none>"
# Of the calls whose log has it; each once, and what is no call's only where no call has.
TOLD_MOST = 1000
# No name is longer (RFC 1035); what is asked for may be.
NAME_MOST_CHARS = 255

_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")
_plain = {name: getattr(socket, name) for name in _NAMES}
_create = socket.socket.__init__
_told: Set[str] = set()


class _State:
    is_telling = False  # not before there is code of the function's


def _refused(what: str, is_told: bool = True) -> PermissionError:
    """What the code gets; and once a call the log, if it ``is_told``."""
    text = (
        "%s: the network of this function is none, so nothing outside its cell can be reached; "
        "deploy it with the option network = host, if this server allows that" % what
    )
    call = _seam.current.get()
    if is_told and _State.is_telling and (call.call_id not in _told if call is not None else not _told):
        if len(_told) >= TOLD_MOST:
            _told.clear()
        _told.add(call.call_id if call is not None else "")
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
    """``gethostbyname`` and its like, which take one word."""
    plain = _plain[name]

    def ask(host: Any) -> Any:
        try:
            return plain(host)
        except socket.gaierror as error:
            if error.errno not in _UNANSWERED:
                raise
        except socket.herror:  # whoever it is, there is nobody to ask
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
    # A library that only tries what there is, at its import (urllib3's _has_ipv6), wanted to reach nobody.
    asks = sys._getframe(1).f_code.co_name
    raise _refused("no internet socket can be opened", "ipv6" not in asks)


_REPLACED: Dict[str, Callable[..., Any]] = {
    "getaddrinfo": _getaddrinfo,
    **{name: _by_one(name) for name in _NAMES if name != "getaddrinfo"},
}


def forbid() -> None:
    """Of every cell that this process clones, until one allows."""
    for name, function in _REPLACED.items():
        _dress(function, name, name)
        setattr(socket, name, function)
    _dress(_init, "__init__", "socket.__init__")
    _init.__doc__ = _create.__doc__
    socket.socket.__init__ = _init  # type: ignore[method-assign]


def _dress(function: Any, name: str, qualified: str) -> None:
    function.__name__, function.__qualname__, function.__module__ = name, qualified, "socket"
    function.__code__ = function.__code__.replace(co_filename=_PLACE, co_name=name)


def allow() -> None:
    """This process has the host's network."""
    for name in _REPLACED:
        setattr(socket, name, _plain[name])
    socket.socket.__init__ = _create  # type: ignore[method-assign]


def tell() -> None:
    """From now on the function's log has it too."""
    _State.is_telling = True
