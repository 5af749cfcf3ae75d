"""A front takes of its settings what the warden's validation takes, and nothing else."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from supervisor.errors import ConfigurationError
from supervisor.settings import front_settings
from supervisor.settings.declarations import Settings
from supervisor.settings.declared_bounds import EitherBound, NamedBound, NumberBound, bounds_of
from supervisor.settings.validated import validated
from worker.message_fields import OptionalBound

TOLD = json.loads(json.dumps(front_settings.for_a_new_front(Settings())))
NUMBERS = {
    name: bound for name, bound in front_settings.AT_START.bounds.items() if isinstance(bound, NumberBound)
}
STRANGE: tuple[Any, ...] = (b"x", [1], {"a": 1}, object(), math.nan, "x" * (1 << 17))


def is_taken(name: str, value: Any) -> bool:
    """Whether a front takes it at its start."""
    try:
        front_settings.at_start({**TOLD, name: value})
    except ValueError as error:
        assert str(error).startswith(name), error
        return False
    return True


def is_valid(name: str, value: Any) -> bool:
    """Whether the warden takes it from its operator."""
    try:
        validated(None, {name: value})
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize("name", NUMBERS)
def test_at_each_bound_of_a_number_a_front_decides_as_the_warden_does(name: str) -> None:
    bound = NUMBERS[name]
    edges = [bound.most, bound.most * 2, 0, -1, 1]
    edges += [edge for edge in (bound.least, bound.least - 1, bound.above) if math.isfinite(edge)]
    decided = {edge: (is_taken(name, edge), is_valid(name, edge)) for edge in edges}
    assert all(ours == theirs for ours, theirs in decided.values()), decided
    assert {ours for ours, _ in decided.values()} == {True, False}
    assert not is_taken(name, str(bound.most)) and not is_taken(name, True)


@pytest.mark.parametrize("name", sorted(front_settings.FIELDS))
def test_no_setting_takes_a_value_of_another_type(name: str) -> None:
    assert [value for value in STRANGE if is_taken(name, value)] == []


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("functions_domain", "fn.example.org", "fn example"),
        ("otlp_endpoint", "http://collector:4318", "ftp://collector"),
        ("log_level", "debug", "loud"),
        ("otlp_headers", {"a": "b"}, {"a": 1}),
        ("space_quotas", {"functions": 5}, {"function": 5}),
        ("space_quotas", {"calls_per_minute": 0}, {"calls_per_minute": -1}),
        ("defaults", {"timeout": 5, "cors": ["https://a.example"]}, {"timeout": 0}),
        ("defaults", {"cors": "*"}, {"cors": "some"}),
        ("ceilings", {"cpu": 3.0, "files": 20_000}, {"cpu": "3"}),
        ("ceilings", {"network": "host"}, {"nothing": 1}),
    ],
)
def test_texts_words_and_maps_are_bounded_by_their_declarations(name: str, right: Any, wrong: Any) -> None:
    assert is_taken(name, right) and not is_taken(name, wrong)


def test_a_change_of_the_settings_is_refused_as_a_whole_if_one_is_missing() -> None:
    values = front_settings.for_running_fronts(Settings())
    assert front_settings.AFTER_CHANGE.read(values) == values
    del values["queue_depth"]
    with pytest.raises(ValueError, match="lacks queue_depth"):
        front_settings.AFTER_CHANGE.read(values)


def test_every_declared_setting_and_option_has_a_bound_of_its_own() -> None:
    assert bounds_of(front_settings.FrontSettings).keys() == front_settings.FIELDS
    options = front_settings.AT_START.bounds["defaults"]
    assert isinstance(options, NamedBound) and "timeout" in options.bounds
    cors = options.bounds["cors"]
    assert isinstance(cors, OptionalBound) and isinstance(cors.bound, EitherBound)
