"""Test a function without a server: make its Event, its secrets, its variables and its context.

>>> from function import testing, variables
>>> def handle(req):
...     return {"body": {"hello": req.body.decode(), "region": variables.get("region")}}
>>> with testing.values(variables={"region": "eu"}):
...     handle(testing.event(body="Ada"))
{'body': {'hello': 'Ada', 'region': 'eu'}}
"""

import json
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, Mapping, Optional, Tuple, Union
from urllib.parse import urlencode

from function import _seam
from function.request import Event

__all__ = ["event", "invocation", "values"]

Headers = Union[Mapping[str, str], Iterable[Tuple[str, str]]]


def event(
    body: Any = b"",
    method: str = "POST",
    headers: Headers = (),
    query: Union[str, Mapping[str, Any]] = "",
    path: str = "/",
) -> Event:
    """An Event as the platform would make it.

    ``body`` is bytes, text (UTF-8) or anything that JSON can carry; ``query`` a query string or a mapping.
    """
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    items = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    query_string = query if isinstance(query, str) else urlencode(query, doseq=True)
    return Event(method, body, items, query_string, path if path.startswith("/") else "/" + path)


@contextmanager
def values(
    secrets: Optional[Dict[str, str]] = None, variables: Optional[Dict[str, Any]] = None
) -> Iterator[None]:
    """Set the space's secrets and variables inside the ``with`` block."""
    before = _seam.CurrentValues.secrets, _seam.CurrentValues.variables
    _seam.CurrentValues.secrets, _seam.CurrentValues.variables = dict(secrets or {}), dict(variables or {})
    try:
        yield
    finally:
        _seam.CurrentValues.secrets, _seam.CurrentValues.variables = before


@contextmanager
def invocation(
    call_id: str = "test",
    function_name: str = "function",
    space: str = "default",
    version: int = 1,
    timeout: float = 10.0,
) -> Iterator[None]:
    """Have a call run inside the ``with`` block; ``timeout`` is in seconds."""
    token = _seam.current.set(
        _seam.Invocation(call_id, function_name, space, version, time.monotonic() + timeout)
    )
    try:
        yield
    finally:
        _seam.current.reset(token)
