"""Where code stood, as read from what the interpreter wrote about all its threads."""

from __future__ import annotations

import pytest

from supervisor.front.logs.pipe_parser import Line
from supervisor.front.outcome.stack_dumps import WHERE_MAX_CHARS, AuthorsView, is_fatal, where_of
from supervisor.warden.launch.zygote_launch import CODE_PLACE

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


BOOTSTRAP = '  File "<string>", line 1 in <module>'


def shown(*reads: tuple[str, ...]) -> list[str]:
    """What an author is shown of lines that come in these reads."""
    view = AuthorsView()
    return [line.data.decode() for read in reads for line in view.of([Line(text.encode()) for text in read])]


def test_frames_of_ours_are_not_shown_however_they_are_cut_into_reads() -> None:
    dump = (CURRENT, HANDLER, LOOP, LOOP, BOOTSTRAP, "", "after")
    wanted = [CURRENT, HANDLER, "", "after"]
    assert shown(dump) == wanted
    assert shown(*((line,) for line in dump)) == wanted
    assert CODE_PLACE in LOOP


def test_what_only_looks_alike_is_shown() -> None:
    own = '  File "/function/code/worker/serve/loop.py", line 3 in f'
    for lines in ((BOOTSTRAP,), (HANDLER, BOOTSTRAP), (own, BOOTSTRAP), (LIBRARY, "x"), ("said: " + LOOP,)):
        assert shown(lines) == list(lines)


def test_the_interpreters_last_word_is_known() -> None:
    assert is_fatal([Line(b"x"), Line(b"Fatal Python error: Segmentation fault")])
    assert not is_fatal([Line(b"a Fatal Python error: no"), Line(b"")])
