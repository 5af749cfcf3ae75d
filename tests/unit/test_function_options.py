"""The options of a function: names, bounds, and three layers of which the ceiling always wins."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from supervisor.errors import PlatformError
from supervisor.front.functions.deployed_limits import limits_in_force
from supervisor.function_limits import ASYNC_CONCURRENCY, DEFAULT_CEILINGS, MIB, Limits, resolve
from supervisor.function_options import Options
from tests.support.told import told

# docs/settings.md, by hand.
CONTRACT = {
    "timeout": 10.0, "async_timeout": 300.0, "memory": 128, "cpu": 1.0, "processes": 64, "tmp": 64,
    "open_files": 256, "max_request": 16, "max_response": 16, "log_bytes": MIB, "log_lines": 10_000,
    "concurrency": None, "min_instances": 0, "max_instances": 10, "idle_seconds": 300.0, "fresh": False,
    "network": "none", "cors": None, "public": False,
}  # fmt: skip
# Lowest and highest value, and one beyond each end.
BOUNDS: dict[str, tuple[Any, Any, Any, Any]] = {
    "timeout": (0.001, 86_400, 0, 86_401),
    "async_timeout": (0.001, 86_400, 0, 86_401),
    "memory": (16, 1 << 20, 15, (1 << 20) + 1),
    "cpu": (0.01, 1024, 0, 1025),
    "processes": (1, 32_768, 0, 32_769),
    "tmp": (1, 1 << 20, 0, (1 << 20) + 1),
    "open_files": (16, 65_536, 15, 65_537),
    "max_request": (1, 1024, 0, 1025),
    "max_response": (1, 1024, 0, 1025),
    "log_bytes": (0, 1 << 30, -1, (1 << 30) + 1),
    "log_lines": (0, 10_000_000, -1, 10_000_001),
    "concurrency": (1, 10_000, 0, 10_001),
    "min_instances": (0, 10_000, -1, 10_001),
    "max_instances": (1, 10_000, 0, 10_001),
    "idle_seconds": (0.001, 86_400, 0, 86_401),
}
NO_CEILINGS: dict[str, Any] = {"network": "host"}


def test_the_defaults_are_the_contracts() -> None:
    assert asdict(Limits()) == CONTRACT
    assert ASYNC_CONCURRENCY == 100


def test_a_tenant_can_name_every_limit_and_nothing_else() -> None:
    assert list(Options.model_fields) == [field.name for field in fields(Limits)] == list(CONTRACT)
    assert set(BOUNDS) | {"fresh", "network", "cors", "public"} == set(CONTRACT)
    with pytest.raises(ValidationError, match="Extra inputs"):
        Options(memroy=5)
    assert Options().named() == {}


@pytest.mark.parametrize("model", [Limits, Options])
@pytest.mark.parametrize("name", BOUNDS)
def test_every_option_has_both_bounds_for_a_tenant_and_in_the_schema(model: Any, name: str) -> None:
    least, most, below, above = BOUNDS[name]
    validate = TypeAdapter(model).validate_python
    for value in (least, most):
        assert getattr(validate({name: value}), name) == value
    for value in (below, above, float("nan"), float("inf"), "many", [], {}):
        with pytest.raises(ValidationError):
            validate({name: value})


@pytest.mark.parametrize("name", DEFAULT_CEILINGS)
def test_a_value_above_a_ceiling_is_refused_and_the_refusal_says_the_ceiling(name: str) -> None:
    ceiling = DEFAULT_CEILINGS[name]
    value = "host" if name == "network" else ceiling + 1
    with pytest.raises(PlatformError) as caught:
        resolve({name: value}, {}, DEFAULT_CEILINGS)
    assert caught.value.status == 422
    assert caught.value.details == {"option": name, "ceiling": ceiling}
    assert f"options.{name}" in caught.value.message
    at_the_ceiling = resolve({name: ceiling}, {}, DEFAULT_CEILINGS)
    assert getattr(at_the_ceiling, name) == ceiling


@pytest.mark.parametrize("name", sorted(set(DEFAULT_CEILINGS) - {"network"}))
def test_what_nobody_named_is_cut_to_a_ceiling_below_the_contracts_default(name: str) -> None:
    least = BOUNDS[name][0]
    ceiling = least + 1 if isinstance(least, int) else least
    limits = resolve({}, {}, {**DEFAULT_CEILINGS, name: ceiling})
    assert getattr(limits, name) == ceiling


def test_concurrency_nobody_named_stays_open_unless_a_ceiling_is_below_the_async_default() -> None:
    assert resolve({}, {}, {**DEFAULT_CEILINGS, "concurrency": 100}).concurrency is None
    assert resolve({}, {}, {**DEFAULT_CEILINGS, "concurrency": 99}).concurrency == 99
    assert resolve({}, {}, {}).concurrency is None


def test_an_operators_default_above_a_ceiling_is_cut() -> None:
    limits = resolve({}, {"memory": 512, "timeout": 60}, {**DEFAULT_CEILINGS, "memory": 256})
    assert (limits.memory, limits.timeout) == (256, 60)


def test_a_tenants_value_wins_over_the_operators_default() -> None:
    limits = resolve({"memory": 64, "fresh": False}, {"memory": 512, "fresh": True}, DEFAULT_CEILINGS)
    assert (limits.memory, limits.fresh) == (64, False)


def test_host_networking_is_the_operators_to_allow() -> None:
    assert resolve({"network": "host"}, {}, NO_CEILINGS).network == "host"
    assert resolve({}, {"network": "host"}, NO_CEILINGS).network == "host"
    assert resolve({}, {}, NO_CEILINGS).network == "none"
    # A default is cut like any other.
    assert resolve({}, {"network": "host"}, DEFAULT_CEILINGS).network == "none"


def test_more_instances_kept_than_allowed_is_refused() -> None:
    with pytest.raises(PlatformError) as caught:
        resolve({"min_instances": 5, "max_instances": 4}, {}, DEFAULT_CEILINGS)
    assert caught.value.status == 422
    assert caught.value.message == (
        "options.min_instances 5 is above max_instances 4; lower the one or raise the other"
    )
    with pytest.raises(PlatformError, match="min_instances 11 is above max_instances 10"):
        resolve({"min_instances": 11}, {}, DEFAULT_CEILINGS)


def test_an_operators_minimum_gives_way_to_the_most_a_tenant_wants() -> None:
    limits = resolve({"max_instances": 1}, {"min_instances": 3}, DEFAULT_CEILINGS)
    assert (limits.min_instances, limits.max_instances) == (1, 1)


@pytest.mark.parametrize(
    ("named", "changed", "in_force"),
    [
        ({"memory": 1024}, {"ceilings": {"memory": 256}}, {"memory": 256}),
        ({"network": "host"}, {"ceilings": {"network": "none"}}, {"network": "none"}),
        ({"min_instances": 5}, {"ceilings": {"max_instances": 2}}, {"min_instances": 2, "max_instances": 2}),
        ({"max_instances": 1}, {"defaults": {"min_instances": 5}}, {"min_instances": 1, "max_instances": 1}),
        ({"min_instances": 5}, {"defaults": {"max_instances": 3}}, {"min_instances": 3, "max_instances": 3}),
        ({}, {"ceilings": {"timeout": 1}}, {"timeout": 1.0}),
    ],
)
def test_what_is_deployed_answers_calls_whatever_the_operator_changed_since(
    named: dict[str, Any], changed: dict[str, Any], in_force: dict[str, Any]
) -> None:
    limits = limits_in_force(named, told(**changed))
    assert {name: getattr(limits, name) for name in in_force} == in_force


def test_an_option_that_this_server_does_not_know_is_no_limit_that_is_dropped_silently() -> None:
    with pytest.raises(TypeError, match="memroy"):
        limits_in_force({"memroy": 5}, told())


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Values that an option may have."""
    if name in ("fresh", "public"):
        return st.booleans()
    if name == "network":
        return st.sampled_from(["none", "host"])
    if name == "cors":
        return st.sampled_from(["*", [], ["null", "https://a.example"]])
    least, most = BOUNDS[name][:2]
    return st.integers(least, most) if isinstance(least, int) else st.floats(least, most)


named_options = st.fixed_dictionaries({}, optional={name: values_of(name) for name in CONTRACT})
some_ceilings = st.fixed_dictionaries({}, optional={name: values_of(name) for name in DEFAULT_CEILINGS})


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(named_options, named_options, some_ceilings)
def test_nothing_passes_a_ceiling_whoever_named_it(
    named: dict[str, Any], defaults: dict[str, Any], lower: dict[str, Any]
) -> None:
    ceilings = {**DEFAULT_CEILINGS, **lower}
    try:
        limits = resolve(named, defaults, ceilings)
    except PlatformError as error:
        assert error.status == 422
        return
    for name, ceiling in ceilings.items():
        value = getattr(limits, name)
        if name == "network":
            assert ceiling == "host" or value == "none"
        else:
            assert (ASYNC_CONCURRENCY if value is None else value) <= ceiling
    for name, value in named.items():
        assert getattr(limits, name) == value
    assert limits.min_instances <= limits.max_instances


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(named_options, named_options, some_ceilings)
def test_whatever_was_deployed_under_whatever_ceilings_there_are_limits_in_force(
    named: dict[str, Any], defaults: dict[str, Any], lower: dict[str, Any]
) -> None:
    limits = limits_in_force(named, told(defaults=defaults, ceilings=lower))
    assert limits.min_instances <= limits.max_instances
