"""If-Match as RFC 9110 has it: lists, weak tags, the star, and what is none of these."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import PlatformError
from supervisor.front.api.versions.preconditions import PATTERN, parse, tag_of

OPAQUE = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='"\x7f'), max_size=12
)
SPACES = st.text(" \t", max_size=2)
TAGS = st.tuples(st.booleans(), OPAQUE)


def holds(lines: list[str], current: str | None) -> bool:
    """Whether the precondition of these lines lets a change be made."""
    try:
        parse(lines).check(current, "it is something else")
    except PlatformError as error:
        assert error.status == 412
        assert error.headers == ({} if current is None else {"ETag": current})
        assert error.details == {"etag": current}
        return False
    return True


@given(
    st.lists(st.lists(st.tuples(TAGS, SPACES, SPACES), min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 3), max_size=3),
    OPAQUE,
)
def test_a_list_holds_if_a_strong_tag_of_it_is_the_present_one(
    lines: list[list[tuple[tuple[bool, str], str, str]]], empty: list[int], other: str
) -> None:
    """Over several lines, with blanks around members and empty members: ``#`` of RFC 9110, 5.6.1."""
    texts = []
    for line in lines:
        members = [
            f'{before}{"W/" if is_weak else ""}"{opaque}"{after}' for (is_weak, opaque), before, after in line
        ]
        for at in empty:
            members.insert(min(at, len(members)), " ")
        texts.append(",".join(members))
    tags = [tag for line in lines for tag, _, _ in line]
    strong = {opaque for is_weak, opaque in tags if not is_weak}
    for _, opaque in [*tags, (False, other)]:
        assert holds(texts, f'"{opaque}"') == (opaque in strong)
    assert not holds(texts, None), "what is not there matches no tag"


@given(st.text(st.characters(max_codepoint=0xFF), max_size=30))
def test_any_text_is_a_precondition_or_a_400(text: str) -> None:
    try:
        parse([text])
    except PlatformError as error:
        assert error.status == 400 and error.details == {"header": "If-Match"}
    else:
        assert "*" in text or '"' in text


@given(st.from_regex(re.compile(PATTERN, re.ASCII), fullmatch=True))
def test_what_the_description_allows_is_read(text: str) -> None:
    parse([text.rstrip("\n")])


@pytest.mark.parametrize(
    "text", ["", " ", ",", "abc", '"abc', 'abc"', '"a" "b"', '"a"b', 'w/"a"', "**", '*, "a"']
)
def test_what_is_no_list_of_entity_tags_is_a_400(text: str) -> None:
    with pytest.raises(PlatformError) as caught:
        parse([text])
    assert caught.value.status == 400


def test_the_star_holds_for_whatever_is_there_and_no_header_for_everything() -> None:
    assert holds(["*"], '"a"') and holds([" * "], '"b"') and not holds(["*"], None)
    assert holds([], '"a"') and holds([], None)


def test_a_long_header_costs_time_in_proportion_to_its_length() -> None:
    def seconds(number: int) -> float:
        text = ", ,\t,".join(['W/"a"'] * number) + " " * number + "x"
        began = time.process_time()
        with pytest.raises(PlatformError):
            parse([text])
        return time.process_time() - began

    assert seconds(20_000) < 2.0


def test_tags_of_states_differ_and_are_entity_tags() -> None:
    assert tag_of("a", 1) != tag_of("a", 2) != tag_of("a1")
    assert re.fullmatch(r'"[0-9a-f]{24}"', tag_of("a", None))
