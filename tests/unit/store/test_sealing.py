"""Values at rest: what opens, what does not, and which key seals."""

from __future__ import annotations

import pytest

from supervisor.errors import PlatformError
from supervisor.store.ring.key_ring import KEY_BYTES, KeyRing
from supervisor.store.sealing import Sealer, SealingError, read_again

WHERE = {"space": "demo", "kind": "secret", "name": "TOKEN"}


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(b"k" * KEY_BYTES)


@pytest.mark.parametrize("plain", [b"", b"x", b"\x00\xff" * 5000])
def test_what_was_sealed_opens_again(sealer, plain):
    assert sealer.open(sealer.seal(plain, **WHERE), **WHERE) == plain


def test_a_sealed_value_does_not_show_what_is_in_it(sealer):
    assert b"hunter2" not in sealer.seal(b"hunter2", **WHERE)


def test_the_same_value_is_sealed_differently_each_time(sealer):
    assert sealer.seal(b"same", **WHERE) != sealer.seal(b"same", **WHERE)


@pytest.mark.parametrize("other", [{"space": "evil"}, {"kind": "variable"}, {"name": "OTHER"}])
def test_a_value_does_not_open_as_another_one(sealer, other):
    sealed = sealer.seal(b"x", **WHERE)
    with pytest.raises(SealingError):
        sealer.open(sealed, **{**WHERE, **other})


def test_parts_of_the_context_cannot_be_shifted_into_one_another(sealer):
    sealed = sealer.seal(b"x", space="ab", kind="c", name="d")
    with pytest.raises(SealingError):
        sealer.open(sealed, space="a", kind="bc", name="d")


def test_no_altered_byte_goes_unnoticed(sealer):
    sealed = sealer.seal(b"value", **WHERE)
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(SealingError):
            sealer.open(bytes(altered), **WHERE)


def test_no_truncated_value_opens(sealer):
    sealed = sealer.seal(b"value", **WHERE)
    for length in range(len(sealed)):
        with pytest.raises(SealingError):
            sealer.open(sealed[:length], **WHERE)


def test_another_key_opens_nothing(sealer):
    with pytest.raises(SealingError, match="another key"):
        Sealer(b"o" * KEY_BYTES).open(sealer.seal(b"x", **WHERE), **WHERE)


def test_a_sealer_does_not_show_its_key(sealer):
    assert "kkkk" not in repr(sealer) + str(vars(sealer))


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"short")


OLD, NEW = b"o" * KEY_BYTES, b"n" * KEY_BYTES


def test_a_ring_opens_what_any_of_its_keys_sealed_and_seals_with_the_one_it_names():
    ring = KeyRing((OLD, NEW))
    both = Sealer(ring)
    for key in (OLD, NEW):
        assert both.open(Sealer(key).seal(b"x", **WHERE), **WHERE) == b"x"
    assert Sealer(OLD).open(both.seal(b"x", **WHERE), **WHERE) == b"x"
    sealed, by = Sealer(ring.sealing_with_newest()).seal_named(b"x", **WHERE)
    assert Sealer(NEW).open(sealed, **WHERE) == b"x"
    assert by == KeyRing((NEW,)).ids[0]


def test_a_value_that_an_unknown_key_sealed_is_read_again_with_the_keys_of_the_moment():
    rings = [KeyRing((NEW,))]
    stale = Sealer(OLD, lambda: rings.pop() if rings else None)
    sealed = Sealer(NEW).seal(b"x", **WHERE)
    assert read_again(stale, lambda: stale.open_value(sealed, **WHERE)) == "x"


def test_a_value_that_no_key_opens_is_read_twice_and_no_more():
    sealer, reads = Sealer(OLD), []

    def read() -> object:
        reads.append(1)
        return sealer.open_value(b"nonsense", **WHERE)

    with pytest.raises(PlatformError):
        read_again(sealer, read)
    assert len(reads) == 2
