"""The ``req`` of ``handle(req)``: an Event with exactly five public attributes.

>>> from function.request import Event
>>> event = Event("POST", b"hi", [("X-A", "1"), ("X-A", "2")], "q=1&q=2&empty=", "/stock")
>>> event.method, event.body, event.path, event.headers.getlist("x-a"), event.query.getlist("q")
('POST', b'hi', '/stock', ['1', '2'], ['1', '2'])
"""

from typing import TYPE_CHECKING, List, Optional, Tuple

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers, ImmutableMultiDict

__all__ = ["Event"]


class Event:
    """One HTTP request as a function sees it (CONTRACT.md section 1).

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
        # Most functions read neither; both are built when first asked for.  What builds them is imported
        # then: with it each process of an instance would have twice the pages.
        self._header_items = header_items
        self._query_string = query_string
        self._headers: "Optional[Headers]" = None
        self._query: "Optional[ImmutableMultiDict]" = None

    @property
    def headers(self) -> "Headers":
        """The caller's headers, repeated ones kept; names compare without case."""
        if self._headers is None:
            from werkzeug.datastructures import Headers

            if not _Missing.is_named:
                _name_missing_keys()
            self._headers = Headers(self._header_items)
        return self._headers

    @property
    def query(self) -> "ImmutableMultiDict":
        """The decoded query string; blank values and repeats kept, undecodable bytes replaced."""
        if self._query is None:
            from urllib.parse import parse_qsl

            from werkzeug.datastructures import ImmutableMultiDict

            if not _Missing.is_named:
                _name_missing_keys()
            self._query = ImmutableMultiDict(
                parse_qsl(self._query_string, keep_blank_values=True, errors="replace")
            )
        return self._query

    def __repr__(self) -> str:
        return "<Event %s %s, %d bytes>" % (self.method, self.path, len(self.body))


class _Missing:
    """Whether that was done; it is once in a process."""

    is_named = False


def _name_missing_keys() -> None:
    """``req.query["name"]`` without a name: the exception says which, as any KeyError does.

    What werkzeug has it say is meant for the caller of a web application of its own: "400 Bad Request: The
    browser (or proxy) sent a request that this server could not understand."
    """
    from werkzeug.exceptions import BadRequestKeyError

    BadRequestKeyError.__str__ = KeyError.__str__  # type: ignore[method-assign]
    _Missing.is_named = True
