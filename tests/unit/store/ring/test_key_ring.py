"""One key, or two during a rotation: encoded, decoded, and step by step."""

from __future__ import annotations

import pytest

from supervisor.store.ring.key_ring import KEY_BYTES, RING, RING_BYTES, KeyRing, recognised

OLD, NEW = b"o" * KEY_BYTES, b"n" * KEY_BYTES
RINGS = (KeyRing((OLD,)), KeyRing((OLD, NEW)), KeyRing((OLD, NEW), 1))


@pytest.mark.parametrize("ring", RINGS)
def test_a_ring_comes_back_as_it_was_encoded(ring):
    assert KeyRing.decoded(ring.encoded()) == ring


def test_one_key_is_encoded_as_every_release_did():
    assert KeyRing((OLD,)).encoded() == OLD
    assert len(KeyRing((OLD, NEW)).encoded()) == RING_BYTES


def test_the_steps_of_a_rotation_lead_from_one_key_to_the_other():
    added = KeyRing((OLD,)).with_new(NEW)
    assert (added.is_rotating, added.keys[added.sealing]) == (True, OLD)
    turned = added.sealing_with_newest()
    assert (turned.is_rotating, turned.keys[turned.sealing]) == (True, NEW)
    assert turned.newest_alone() == KeyRing((NEW,))


def test_a_ring_shows_no_key_but_what_tells_it_from_others():
    assert "ooo" not in repr(KeyRing((OLD, NEW)))
    assert KeyRing((OLD, NEW)).ids == (recognised(OLD), recognised(NEW))
    assert OLD.hex()[:8] not in recognised(OLD)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        OLD[:-1],
        OLD + b"x",
        OLD + NEW,
        RING,
        RING + b"\x00",
        RING + b"\x02" + OLD + NEW,
        RING + b"\x00" + OLD + NEW + OLD,
        RING + b"\x00" + OLD + NEW[:-1],
    ],
)
def test_what_is_no_ring_is_refused(data):
    with pytest.raises(ValueError, match="key"):
        KeyRing.decoded(data)
