"""What an author has probably meant: by an answer that is hardly wanted, and by one that cannot be sent.

A doubt is one warning in the log of an instance; the answer goes out as the contract says.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from .mistake import has, is_file, kind_of, shown

KEYS = ("status_code", "headers", "body")
# What to write instead of what other platforms, and haste, call them.
MEANT = {
    **dict.fromkeys(("status", "statuscode", "code", "status_code", "http_status"), "'status_code'"),
    **dict.fromkeys(("header", "headers"), "'headers'"),
    **dict.fromkeys(("body", "data", "content", "payload", "result", "response", "text", "json"), "'body'"),
    "multivalueheaders": "a list of pairs as 'headers'",
    "cookies": "('Set-Cookie', ...) into a list of pairs as 'headers'",
    "isbase64encoded": "the bytes themselves as 'body'",
}
NAMED_MOST = 5


class Doubt(NamedTuple):
    """``kind`` is told once an instance."""

    kind: str
    text: str


def of_keys(result: "Mapping[Any, Any]") -> Optional[Doubt]:
    """Of a dict that has others than the three keys, or none of them."""
    try:
        return _of_keys(result)
    except Exception:  # keys of the author's classes: the answer itself is whole
        return None


def _of_keys(result: "Mapping[Any, Any]") -> Optional[Doubt]:
    others = [key for key in result if key not in KEYS]
    has_alias = "statusCode" in result and "status_code" not in result
    if has_alias:
        others.remove("statusCode")
    if not others:
        return None
    named = ", ".join(map(shown, others[:NAMED_MOST])) + (", \u2026" if len(others) > NAMED_MOST else "")
    meant = [(key, MEANT.get(str(key).lower(), "")) for key in others[:NAMED_MOST]]
    hints = ["instead of %s write %s" % (shown(key), name) for key, name in meant if name]
    if len(others) < len(result):
        text = "handle returned a dict with %s, which is not read; status_code, headers and body are" % named
    else:
        text = "handle returned a dict with %s and none of status_code, headers and body: " % named
        text += "an empty answer was sent"
        if not hints:
            hints = ['to send that dict as JSON: return {"body": {...}}']
    return Doubt("keys", "; ".join([text, *hints]))


def of_text(body: Any, sent: bytes) -> Optional[Doubt]:
    """Of a body that was sent as text and is none."""
    kind = type(body)
    if is_file(body) or isinstance(body, str) or (isinstance(body, (int, float)) and kind is not bool):
        return None
    if kind.__str__ is not object.__str__ and not has(kind, "__len__"):
        return None  # it has a text of its own: Decimal, date, UUID
    what = "body is of type %s and was sent as the text that Python prints of it, %s" % (
        kind_of(body), shown(sent[:40].decode("utf-8", "replace")),
    )  # fmt: skip
    return Doubt("text", "%s; %s" % (what, _instead_of_text(body)))


def _instead_of_text(body: Any) -> str:
    if has(body, "__await__"):
        return "it was never awaited: write await before it, in an async def handle"
    if isinstance(body, (list, tuple, bool)):
        return "for JSON add the header Content-Type: application/json"
    if has(body, "tolist"):
        return "for JSON write body.tolist() and the header Content-Type: application/json"
    if has(body, "__iter__"):
        return "for JSON write list(body) and the header Content-Type: application/json"
    return "write what of it shall be sent: a dict for JSON, text, or bytes"


def of_file(body: Any) -> Optional[Doubt]:
    """Of a file that had nothing left to read."""
    try:
        position = body.tell()
    except Exception:  # a pipe, or an object of the author's
        return None
    if type(position) is not int or position <= 0:
        return None
    text = "body is a %s that was read or written to its end, so nothing was sent; write body.seek(0) before"
    return Doubt("file", text % kind_of(body))


def instead_of(result: Any) -> str:
    """What to return where something that is no dict was returned."""
    if has(result, "__await__"):
        name = getattr(getattr(result, "cr_code", None), "co_name", "")
        made = " of the coroutine function %s" % shown(name) if isinstance(name, str) and name else ""
        return (
            "it is what a call%s gives before it is awaited: a handler that returns an awaitable must be "
            "declared with 'async def' and await it, and so must what a decorator puts in its place" % made
        )
    if has(result, "__anext__") or kind_of(result) == "generator":
        return "there is a yield in it, which makes every call of it give that: return a dict instead"
    if isinstance(result, tuple) and len(result) in (2, 3):
        return 'write {"status_code": ..., "headers": {...}, "body": ...} for what Flask takes as a tuple'
    if has(result, "status_code"):
        return (
            'write {"status_code": r.status_code, "headers": dict(r.headers), "body": ...} of that response r'
        )
    if isinstance(result, (list, set)):
        return 'for JSON write {"body": result, "headers": {"Content-Type": "application/json"}}'
    return 'write {"body": ...}'


def of_status(status: Any) -> str:
    """What to write instead, if that can be told."""
    try:
        number = int(getattr(status, "value", status))
    except Exception:
        return ""
    if isinstance(status, bool) or not 200 <= number <= 599:
        return ""
    return "; write %d" % number


def of_header(name: str, value: Any) -> str:
    """What to write instead of a value that is no text."""
    if value is None:
        return "leave it out, or write ''"
    if isinstance(value, (list, tuple, set)):
        return 'to repeat it write headers as a list of pairs: [("%s", "..."), ("%s", "...")]' % (name, name)
    if has(value, "js_output"):  # http.cookies: of one value, and of several
        if has(value, "OutputString"):
            return "write value.OutputString()"
        return (
            'write headers as a list of pairs: [("%s", one.OutputString()) for one in value.values()]' % name
        )
    if isinstance(value, (bytes, bytearray)):
        return 'write value.decode("latin-1")'
    return "write str(value), if that is what shall be sent"
