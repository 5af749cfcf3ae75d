"""No secret is left in what an instance writes: which forms are found, which are not, and at what cost."""

from __future__ import annotations

import base64
import json
import re
import secrets as random
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.front.logs.masking import (
    ANCHOR_BYTES,
    MASKED_MOST_BYTES,
    SAME_ANCHOR_MOST,
    SETS_MOST,
    Masker,
    Masks,
)
from supervisor.front.logs.pipe_parser import CUT, LINE_MAX_BYTES
from worker import wire

KEY = "s3cr/t+k&y ~ü\"'"
LONG = "prefix-that-many-have-in-common-0123456789/" + "x1?" * 40
PEM = (
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n"
    "BKcwggSjAgEAAoIBAQC7\nab==\n-----END PRIVATE KEY-----\n"
)


def masked(text: str | bytes, **secrets: str) -> str:
    data = text.encode() if isinstance(text, str) else text
    masker = Masker.of(secrets)
    return (masker.masked(data) if masker else data).decode()


@pytest.mark.parametrize("secret", ["hunter22", KEY, LONG])
@pytest.mark.parametrize(
    "form",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        repr,
        quote,
        quote_plus,
        lambda text: quote(text, safe=""),
        lambda text: re.sub("%..", lambda escape: escape.group().lower(), quote(text, safe="")),
    ],
)
def test_a_secret_is_masked_as_it_is_written(secret, form):
    text = masked(f"before {form(secret)} after", K=secret)
    assert "[secret K]" in text
    assert re.findall(r"\w+", text.replace("[secret K]", "")) == ["before", "after"]


@pytest.mark.parametrize("secret", ["hunter22", KEY, LONG])
@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "z", "zz", "@host"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", [b"", b"="])
def test_a_secret_in_base64_is_masked_wherever_it_stands(secret, before, after, encode, padding):
    encoded = encode(f"{before}{secret}{after}".encode()).rstrip(padding or b"=")
    text = masked(b"Basic " + encoded + b" .", K=secret)
    assert text.startswith("Basic ") and "[secret K]" in text
    rest = text.removeprefix("Basic ").removesuffix(" .").replace("[secret K]", "")
    assert len(rest) <= len(base64.b64encode(f"{before}{after}".encode())) + 2, text


def test_two_secrets_and_the_same_one_twice_are_masked():
    assert masked("a hunter22 hunter33 hunter22", A="hunter22", B="hunter33") == (
        "a [secret A] [secret B] [secret A]"
    )
    assert masked("hunter22hunter22!", A="hunter22") == "[secret A]!", "how often in a row is not told"


def test_of_two_secrets_of_which_one_begins_the_other_the_longer_is_masked():
    assert masked("hunter2233 hunter22", A="hunter22", B="hunter2233") == "[secret B] [secret A]"
    longer = LONG + "more"
    assert masked(f"{longer} {LONG}", A=LONG, B=longer) == "[secret B] [secret A]"


def test_what_only_begins_as_a_long_secret_does_is_left_as_it_is():
    public = LONG[: ANCHOR_BYTES + 4]
    assert masked(f"{public} and more", K=LONG) == f"{public} and more"


def test_a_long_secret_that_the_end_of_a_line_cuts_off_is_masked():
    cut = LONG[: ANCHOR_BYTES + 20].encode() + CUT
    assert masked(cut, K=LONG) == "[secret K]" + CUT.decode()


def test_each_line_of_a_key_is_masked_and_its_armour_is_not():
    text = masked(f"{PEM}and json {json.dumps(PEM)}", K=PEM)
    assert "MIIEv" not in text and "BKcwg" not in text
    assert "-----BEGIN PRIVATE KEY-----" in text
    assert "ab==" in text, "a short line is no secret by itself"
    assert "MIIEv" not in masked(PEM.splitlines()[1], K=PEM)


def test_short_secrets_are_not_masked():
    assert Masker.of({"A": "1234567", "B": ""}) is None
    assert masked("1234567 12345678", A="1234567", B="12345678") == "1234567 [secret B]"


def test_more_secrets_with_one_beginning_than_are_compared_are_masked_by_the_word():
    many = {f"N{n}": "b" * ANCHOR_BYTES + f"{n:04}" for n in range(SAME_ANCHOR_MOST + 5)}
    for secret in many.values():
        text = masked(f"x {secret} y", **many)
        assert secret[ANCHOR_BYTES:] not in text and text.startswith("x [secret ") and text.endswith(" y")


def test_the_name_of_a_secret_does_not_make_a_line_grow_without_bound():
    text = masked("hunter22," * 1800, **{"N" * 128: "hunter22"})
    assert len(text) <= MASKED_MOST_BYTES + len(CUT)


@given(
    st.text(st.characters(codec="utf-8"), min_size=8, max_size=80),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.text(st.characters(codec="utf-8"), max_size=40),
)
@settings(deadline=None, max_examples=150)
def test_whatever_the_secret_and_what_is_around_it_nothing_of_one_line_is_left(secret, before, after):
    long = [line.strip() for line in secret.splitlines() if len(line.strip()) >= 8]
    if len(secret.splitlines()) > 1 and long:
        return
    text = masked(before + secret + after, K=secret)
    assert "[secret K]" in text
    assert secret not in text.replace("[secret K]", "\0")


@pytest.mark.parametrize(
    "secrets",
    [
        {f"N{n}": "a" * 500 + f"{n:06}" for n in range(1000)},
        {f"N{n}": "a" * (8 + n % 60) for n in range(1000)},
        {"N": "a" * 65536, "M": "a" * 32 + "b" * 65000},
        {f"N{n}": random.token_hex(250) for n in range(1000)},
    ],
    ids=["one beginning", "nested", "long", "random"],
)
def test_a_hostile_line_costs_milliseconds_whatever_the_secrets(secrets):
    masker = Masker.of(secrets)
    assert masker is not None
    least = 9.0
    for line in (b"a" * LINE_MAX_BYTES, (b"a" * 33 + b"b") * (LINE_MAX_BYTES // 34)):
        for _ in range(3):
            began = time.thread_time()
            masker.masked(line)
            least = min(least, time.thread_time() - began)
    assert least < 0.1, "some comparison is not bounded"


def test_an_instance_masks_what_it_was_given_before_too():
    masks = Masks()
    masks.add(Masker.of({"K": "hunter22", "L": "hunter33"}))
    assert masks.add(Masker.of({"K": "hunter44"})) is False
    assert masks.masked(b"hunter22 hunter33 hunter44") == b"[secret K] [secret L] [secret K]"


def test_a_set_that_another_has_all_of_is_not_kept_twice():
    masks = Masks()
    both = Masker.of({"K": "hunter22", "L": "hunter33"})
    for masker in (Masker.of({"K": "hunter22"}), both, Masker.of({"L": "hunter33"}), None, both):
        masks.add(masker)
    assert masks.maskers == [both]


def test_an_instance_that_was_given_too_many_sets_has_to_end():
    masks = Masks()
    full = [masks.add(Masker.of({"K": f"hunter{number:02}"})) for number in range(SETS_MOST)]
    assert full == [False] * (SETS_MOST - 1) + [True]


@pytest.mark.parametrize(
    ("kind", "head", "becomes"),
    [
        (
            wire.RAISED,
            ("KeyError", "no hunter22", 3, "get('hunter22')", "handler.py", 1, 2, 3),
            ("KeyError", "no [secret K]", 3, "get('[secret K]')", "handler.py", 1, 2, 3),
        ),
        (wire.BROKE, ("a header hunter22", 1, 2, 3), ("a header [secret K]", 1, 2, 3)),
        (
            wire.FAILED,
            ("import", "ValueError", "hunter22", 1, "x", "handler.py"),
            ("import", "ValueError", "[secret K]", 1, "x", "handler.py"),
        ),
        (wire.WHERE, ("hunter22.py:3", 0), ("[secret K].py:3", 0)),
    ],
)
def test_what_a_cell_says_of_its_code_has_no_secret(kind, head, becomes):
    masks = Masks()
    masks.add(Masker.of({"K": "hunter22"}))
    frame = wire.Frame(kind, 1, head, (), b"")
    assert masks.without_secrets(frame).head == becomes


def test_what_a_function_answers_is_its_own():
    masks = Masks()
    masks.add(Masker.of({"K": "hunter22"}))
    frame = wire.Frame(wire.ANSWER, 1, (200, 1, 2, 3), (("x", "hunter22"),), b"hunter22")
    assert masks.without_secrets(frame) is frame
