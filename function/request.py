"""The ``req`` of ``handle(req)``: an Event with exactly five public attributes.

>>> from function.request import Event
>>> event = Event("POST", b"hi", [("X-A", "1"), ("X-A", "2")], "q=1&q=2&empty=", "/stock")
>>> event.method, event.body, event.path, event.headers.getlist("x-a"), event.query.getlist("q")
('POST', b'hi', '/stock', ['1', '2'], ['1', '2'])
"""

from typing import TYPE_CHECKING, Any, ClassVar, List, Optional, Tuple

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers, ImmutableMultiDict

__all__ = ["Event"]


class _LateImports:
    """What ``headers`` and ``query`` are made of, imported on first use and kept.

    Imported in every worker, these modules would double the pages of a small instance.  Kept, because a
    function may bring a module of the same name.
    """

    headers: ClassVar[Any] = None
    query: ClassVar[Any] = None
    parse: ClassVar[Any] = None


def import_parts() -> None:
    """Import the classes of ``headers`` and ``query`` now."""
    from urllib.parse import parse_qsl

    from werkzeug.datastructures import Headers, ImmutableMultiDict

    _name_missing_keys()
    _LateImports.headers, _LateImports.query, _LateImports.parse = (
        Headers,
        ImmutableMultiDict,
        staticmethod(parse_qsl),
    )


class Event:
    """One HTTP request as a function sees it (docs/functions.md).

    ``method`` str, ``body`` bytes, ``headers`` werkzeug Headers, ``query`` werkzeug
    ImmutableMultiDict, ``path`` str with a leading slash.
    """

    __slots__ = ("_header_items", "_headers", "_query", "_query_string", "body", "method", "path")

    def __init__(
        self, method: str, body: bytes, header_items: List[Tuple[str, str]], query_string: str, path: str
    ) -> None:
        self.method = method
        self.body = body
        self.path = path
        # Most functions read neither; each is built on first use.
        self._header_items = header_items
        self._query_string = query_string
        self._headers: "Optional[Headers]" = None
        self._query: "Optional[ImmutableMultiDict]" = None

    @property
    def headers(self) -> "Headers":
        """The caller's headers, with repeated ones; names compare without case."""
        if self._headers is None:
            if _LateImports.headers is None:
                import_parts()
            self._headers = _LateImports.headers(self._header_items)
        return self._headers

    @property
    def query(self) -> "ImmutableMultiDict":
        """The decoded query string, with blank and repeated values; undecodable bytes are replaced."""
        if self._query is None:
            if _LateImports.query is None:
                import_parts()
            self._query = _LateImports.query(
                _LateImports.parse(self._query_string, keep_blank_values=True, errors="replace")
            )
        return self._query

    def __repr__(self) -> str:
        return "<Event %s %s, %d bytes>" % (self.method, self.path, len(self.body))


def _name_missing_keys() -> None:
    """Have the exception of ``req.query["missing"]`` name the key, as any KeyError does.

    werkzeug's text is for the caller of a web application: "400 Bad Request: The browser (or proxy) sent a
    request that this server could not understand."
    """
    from werkzeug.exceptions import BadRequestKeyError

    BadRequestKeyError.__str__ = KeyError.__str__  # type: ignore[method-assign]
