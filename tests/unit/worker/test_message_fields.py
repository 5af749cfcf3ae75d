"""Records: what messages are, and are made of."""

# No ``from __future__ import annotations``: a Record reads its annotations.

from typing import Annotated, Any

import pytest

from worker.message_fields import IntBound, Record, TextBound, bound_of


class Pair(Record):
    """Two fields, one with a default."""

    name: Annotated[str, TextBound(8)]
    number: Annotated[int, IntBound()] = 7


def test_a_record_is_as_a_frozen_dataclass() -> None:
    pair = Pair("a")
    assert (pair.name, pair.number) == ("a", 7)
    assert pair == Pair(name="a", number=7) != Pair("a", 8)
    assert hash(pair) == hash(Pair("a"))
    assert pair != CountedPair("a")
    assert repr(pair) == "Pair(name='a', number=7)"
    assert pair.replaced(number=8) == Pair("a", 8) and pair.number == 7
    with pytest.raises(AttributeError):
        pair.name = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del pair.name


class CountedPair(Pair):
    """It has the fields of the other."""


WRONG: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}), (("a", 1, 2), {}), (("a",), {"name": "b"}), (("a",), {"more": 1}), ((), {"number": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "named"), WRONG)
def test_a_record_has_exactly_its_fields(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Pair(*values, **named)
    with pytest.raises(TypeError):
        Pair("a").replaced(more=1)


def test_equal_records_have_one_hash_however_they_were_made() -> None:
    assert len({Pair("a"), Pair(number=7, name="a"), Pair("b").replaced(name="a")}) == 1


def test_annotations_that_are_text_are_refused_where_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="from __future__"):
        bound_of("Annotated[str, TextBound(8)]")
