"""The tables of all channels: both ends handle all of it, and what is not in them is refused."""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import datagrams
from supervisor.join_messages import CONTROL
from supervisor.link_messages import LINK
from supervisor.settings.declared_bounds import DeclaredTextBound, EitherBound, NamedBound, NumberBound
from supervisor.warden.launch.launcher import LAUNCH
from supervisor.warden.launch.standby_messages import STANDBY
from worker import cell_process
from worker.message_fields import (
    Bound,
    BytesBound,
    DictBound,
    FlagBound,
    IntBound,
    ListBound,
    OptionalBound,
    PatternBound,
    PlainBound,
    RealBound,
    RecordBound,
    RowBound,
    TextBound,
    WordBound,
    fields_of,
)
from worker.message_table import DO, IS, Malformed, MessageTable, TableRow
from worker.setup_messages import SETUP, SIGNAL_NAMES
from worker.zygote_messages import ZYGOTE

REPOSITORY = Path(__file__).parents[2]
TABLES = {
    "link": LINK, "control": CONTROL, "spawn": ZYGOTE, "set-up": SETUP, "launch": LAUNCH, "standby": STANDBY,
}  # fmt: skip
ROWS = [
    pytest.param(table, row, id=f"{name}-{row.direction}-{row.word}")
    for name, table in TABLES.items()
    for row in table.rows
]
# Text of each pattern, the longest that it allows.
OF_PATTERN = {
    "[0-9a-f]{10}": "0123456789",
    "[0-9a-f]{64}": "ab" * 32,
    "([0-9a-f]{64})?": "ab" * 32,
    "[a-z -]{1,40}": "x" * 40,
    "[a-z.]{1,32}": "x" * 32,
    "[a-z0-9-]{1,40}": "x" * 40,
    "[a-z0-9.-]{1,64}": "x" * 64,
    r"[\x20-\x7e]{0,100}": "~" * 100,
    "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|-": "x" * 63,
    "([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?": "x" * 63,
}

# Of a list that may have more; enough for all that are short by their meaning.
ITEMS_MOST = 64


def largest(bound: Bound) -> Any:
    """A value that the bound allows, as it travels: of what it is, the most."""
    if isinstance(bound, FlagBound):
        return True
    if isinstance(bound, IntBound):
        return bound.most
    if isinstance(bound, RealBound):
        return 1.5
    if isinstance(bound, TextBound):
        return "é" * bound.most
    if isinstance(bound, PatternBound):
        return OF_PATTERN[bound.pattern]
    if isinstance(bound, WordBound):
        return max(bound.words)
    if isinstance(bound, BytesBound):
        return b"\xff" * bound.most
    if isinstance(bound, ListBound):
        return [largest(bound.item)] * min(bound.most, ITEMS_MOST)
    if isinstance(bound, DictBound):
        return {largest(bound.key): largest(bound.item)}
    if isinstance(bound, PlainBound):
        return {"a": [1, None, 2.5, "x"]}
    if isinstance(bound, NumberBound):
        return bound.most
    if isinstance(bound, DeclaredTextBound):
        assert not bound.pattern, "no live setting has one"
        return "x" * bound.most
    if isinstance(bound, EitherBound):
        return largest(bound.bounds[0])
    if isinstance(bound, NamedBound):
        return {name: largest(inner) for name, inner in bound.bounds.items()}
    if isinstance(bound, OptionalBound):
        return largest(bound.bound)
    if isinstance(bound, RecordBound):
        return {name: largest(inner) for name, inner in bound.fields.items()}
    assert isinstance(bound, RowBound)
    _, fields = next(iter(bound.rows.values()))
    return [largest(inner) for _, inner in fields]


def too_large(bound: Bound) -> Iterator[Any]:
    """Values that are one beyond what the bound allows."""
    if isinstance(bound, IntBound):
        yield from (bound.most + 1, bound.least - 1, True, 1.0, "1")
    elif isinstance(bound, RealBound):
        yield from (math.nan, math.inf, -1, "1", True, 1 << 63)
        if bound.is_above:
            yield 0
    elif isinstance(bound, TextBound):
        yield from ("x" * (bound.most + 1), b"x")
        if bound.least:
            yield "x" * (bound.least - 1)
    elif isinstance(bound, PatternBound):
        yield from (OF_PATTERN[bound.pattern] + "x" * 101, OF_PATTERN[bound.pattern] + "\n", b"x")
    elif isinstance(bound, WordBound):
        yield from (max(bound.words) + "x", 1, [])
    elif isinstance(bound, BytesBound):
        yield from (b"x" * (bound.most + 1), "x")
    elif isinstance(bound, ListBound):
        yield from ([largest(bound.item)] * (bound.most + 1), {})
        yield from ([value] for value in too_large(bound.item))
    elif isinstance(bound, DictBound):
        yield from ({largest(bound.key): value} for value in too_large(bound.item))
        yield []
    elif isinstance(bound, NumberBound):
        yield from (bound.most * 2, bound.least - 1 if math.isfinite(bound.least) else bound.above, "1", True)
        yield from (math.nan, math.inf)
    elif isinstance(bound, DeclaredTextBound):
        yield from ("x" * (bound.most + 1), b"x")
    elif isinstance(bound, EitherBound):
        yield from (object, b"x")
    elif isinstance(bound, NamedBound):
        most = largest(bound)
        yield from ({**most, "more": 1}, list(most))
        if bound.is_whole:
            yield dict(list(most.items())[1:])
        for name, inner in bound.bounds.items():
            yield from ({**most, name: value} for value in too_large(inner))
    elif isinstance(bound, OptionalBound):
        yield from (value for value in too_large(bound.bound) if value is not None)
    elif isinstance(bound, RecordBound):
        whole = largest(bound)
        yield from ({**whole, "more": 1}, dict(list(whole.items())[1:]), list(whole))
        for name, inner in bound.fields.items():
            yield from ({**whole, name: value} for value in too_large(inner))
    elif isinstance(bound, RowBound):
        for _, fields in bound.rows.values():
            whole = [largest(inner) for _, inner in fields]
            yield from (whole[:-1], [*whole, 1], ["nobody's", *whole[1:]], [[], *whole[1:]], [])
            for index, (_, inner) in enumerate(fields):
                yield from ([*whole[:index], value, *whole[index + 1 :]] for value in too_large(inner))
    else:
        yield from (object, b"x")


def travelled(plain: Any) -> Any:
    """What arrives."""
    return msgpack.unpackb(msgpack.packb(plain))


@functools.cache
def whole(row: TableRow) -> dict[str, Any]:
    """A message of this row, with the most in each field."""
    fields = fields_of(row.message)
    return {row.direction: row.word, **{name: largest(bound) for name, bound in fields.items()}}


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_every_message_arrives_as_it_was_said(table: MessageTable, row: TableRow) -> None:
    plain = travelled(whole(row))
    message = table.decode(row.direction, plain, row.descriptors)
    assert type(message) is row.message
    assert travelled(table.encode(message)) == plain
    assert table.decode(row.direction, travelled(table.encode(message))) == message


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_one_beyond_a_bound_is_refused_on_both_ends_and_the_error_names_the_field(
    table: MessageTable, row: TableRow
) -> None:
    plain = whole(row)
    for name, bound in fields_of(row.message).items():
        values = list(too_large(bound))
        assert values
        for value in values:
            with pytest.raises(Malformed, match=f"^{row.word}: {name} ") as caught:
                table.decode(row.direction, {**plain, name: value})
            assert len(str(caught.value)) < 1000
    for other in ({**plain, "more": 1}, *({k: v for k, v in plain.items() if k != name} for name in plain)):
        with pytest.raises(Malformed):
            table.decode(row.direction, other)
    with pytest.raises(Malformed, match=f"{row.descriptors + 1} descriptors"):
        table.decode(row.direction, plain, row.descriptors + 1)
    wrong = DO if row.direction == IS else IS
    with pytest.raises(Malformed):
        table.decode(wrong, plain)


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_what_the_other_end_would_refuse_is_not_sent(table: MessageTable, row: TableRow) -> None:
    message = table.decode(row.direction, travelled(whole(row)))
    for name in fields_of(row.message):
        values = {field: getattr(message, field) for field in fields_of(row.message)}
        with pytest.raises(ValueError, match=f"^{row.word}: {name} "):
            table.encode(row.message(**{**values, name: object()}))


def test_what_is_no_message_of_a_channel_is_not_sent() -> None:
    class Nobodys(NamedTuple):
        """Of no table."""

    for table in TABLES.values():
        with pytest.raises(ValueError, match="Nobodys"):
            table.encode(Nobodys())


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.text(), st.binary(),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.one_of(st.text(), st.integers()), inner)),
    max_leaves=20,
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.sampled_from(ROWS), ANYTHING, st.integers(0, 300), st.integers(0, 9))
def test_whatever_arrives_is_a_message_or_malformed(
    param: Any, value: Any, where: int, descriptors: int
) -> None:
    table, row = param.values
    names = list(fields_of(row.message)) or ["x"]
    for plain in (value, {row.direction: value}, {**whole(row), names[where % len(names)]: value}):
        try:
            message = table.decode(row.direction, plain, descriptors)
        except Malformed:
            continue
        assert type(message) in table.messages(row.direction)


def test_no_word_and_no_class_is_in_a_table_twice() -> None:
    for table in TABLES.values():
        assert len({(row.direction, row.word) for row in table.rows}) == len(table.rows)
        assert len({row.message for row in table.rows}) == len(table.rows)


# ---- both ends are complete -------------------------------------------------------------------


def handled_in(path: str, name: str) -> set[str]:
    """The classes that are keys of the dict of handlers with this name, and those that are added to it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets if isinstance(node, ast.Assign | ast.AnnAssign) else ():
            if isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith(name):
                found.add(ast.unparse(target.slice).rpartition(".")[2])
            elif ast.unparse(target).endswith(name) and isinstance(node.value, ast.Dict):
                found |= {ast.unparse(key).rpartition(".")[2] for key in node.value.keys if key is not None}
    return found


ENDS = {
    "warden-link": (LINK, DO, "handlers", (
        "supervisor/warden/leases/desk.py", "supervisor/warden/survey_rounds.py",
        "supervisor/warden/reload.py", "supervisor/warden/admin_token.py",
    )),
    "front": (LINK, IS, "_handlers", ("supervisor/front/warden_link.py",)),
    "warden-spawn": (ZYGOTE, IS, "handlers", ("supervisor/warden/supply/zygote_handle.py",)),
    "warden-set-up": (SETUP, IS, "HANDLERS", ("supervisor/warden/cells/held_cell.py",)),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_an_end_handles_exactly_what_it_may_hear(end: str) -> None:
    table, direction, name, paths = ENDS[end]
    handled = set().union(*(handled_in(path, name) for path in paths))
    assert handled == {message.__name__ for message in table.messages(direction)}


def test_a_cell_expects_exactly_what_it_may_hear() -> None:
    source = (REPOSITORY / "worker/cell_process.py").read_text()
    expected = set(re.findall(r"\b(?:hear|unpacked)\(\w[\w.]*, (\w+)\)", source))
    assert expected == {message.__name__ for message in SETUP.messages(DO)}
    assert set(SIGNAL_NAMES) == set(cell_process.SIGNALS)


@pytest.mark.parametrize(
    ("table", "path"),
    [
        (ZYGOTE, "worker/zygote.py"),
        (STANDBY, "supervisor/warden/launch/front_standby.py"),
        (STANDBY, "supervisor/warden/launch/zygote_standby.py"),
    ],
)
def test_a_process_that_hears_one_thing_names_it(table: MessageTable, path: str) -> None:
    source = (REPOSITORY / path).read_text()
    assert any(re.search(rf"\b{message.__name__}\b", source) for message in table.messages(DO))
    assert len(ZYGOTE.messages(DO)) == 1


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.binary(max_size=200))
def test_whatever_bytes_arrive_are_a_map_or_malformed(data: bytes) -> None:
    try:
        plain = datagrams._plain(data, False)
    except Malformed:
        return
    assert all(type(name) is str for name in plain)
