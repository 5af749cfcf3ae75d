"""Where code stood, as read from what the interpreter wrote about all its threads."""

from __future__ import annotations

import pytest

from supervisor.front.stacks import WHERE_MAX_CHARS, where_of

CURRENT = "Current thread 0x00007f1c2a7fe700 (most recent call first):"
OTHER = "Thread 0x00007f1c29ffd700 (most recent call first):"
LOOP = '  File "/opt/cellblock/_cellblock/loop.py", line 170 in _serve_sync'
HANDLER = '  File "/function/handler.py", line 7 in handle'
LIBRARY = '  File "/usr/lib/python3.11/re.py", line 166 in match'


def lines(*text: str) -> list[bytes]:
    """As a pipe brings them."""
    return [line.encode() for line in text]


@pytest.mark.parametrize(
    ("dump", "where"),
    [
        ((CURRENT, HANDLER, LOOP), "handler.py:7 in handle"),
        ((CURRENT, LIBRARY, HANDLER, LOOP), "handler.py:7 in handle"),
        ((CURRENT, '  File "/function/shop/stock.py", line 3 in count', HANDLER), "stock.py:3 in count"),
        (
            (OTHER, '  File "/function/handler.py", line 2 in poll', CURRENT, HANDLER),
            "handler.py:7 in handle",
        ),
        ((CURRENT, HANDLER, "", OTHER, '  File "/function/x.py", line 1 in f'), "handler.py:7 in handle"),
        ((CURRENT, LOOP, OTHER, HANDLER), "handler.py:7 in handle"),
        ((CURRENT, '  File "/srv/run/cells/ab/function/handler.py", line 9 in f'), "handler.py:9 in f"),
        (("printed before", CURRENT, HANDLER, "printed after"), "handler.py:7 in handle"),
        ((CURRENT, LOOP), ""),
        ((), ""),
        (("nothing of a stack",), ""),
    ],
)
def test_the_place_is_the_authors_innermost_frame_of_the_thread_that_ran(
    dump: tuple[str, ...], where: str
) -> None:
    assert where_of(lines(*dump)) == where


@pytest.mark.parametrize(
    "frame",
    [
        b'  File "/function/' + b"x" * 5000 + b'", line 1 in f',
        b'  File "/function/a.py", line 99999999999999999999 in f',
        b'  File "/function/a.py", line -1 in f',
        b'  File "/function/\xff\xfe.py", line 1 in \xff',
        b'File "/function/a.py", line 1 in f',
        b"\0" * 100,
    ],
)
def test_a_forged_stack_gives_a_short_text_or_none(frame: bytes) -> None:
    assert len(where_of([CURRENT.encode(), frame])) <= WHERE_MAX_CHARS
