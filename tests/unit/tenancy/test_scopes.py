"""Scopes: what a word stands for, and what a caller may."""

from __future__ import annotations

import pytest

from supervisor.errors import PlatformError
from supervisor.tenancy import permissions
from supervisor.tenancy.principal import ADMIN, Principal
from supervisor.tenancy.route_scopes import ADMINISTRATOR, ANY, CLIENT, ROUTE_SCOPES
from supervisor.tenancy.scopes import NARROWED, SCOPES, expanded


def test_function_is_all_five_and_no_other_word_is_more_than_itself() -> None:
    assert expanded(["function"]) == {
        "function.read", "function.create", "function.update", "function.delete", "function.invoke",
    }  # fmt: skip
    assert all(expanded([scope]) == {scope} for scope in SCOPES)
    assert expanded(["function.*", "admin", ""]) == frozenset()
    assert SCOPES.keys() >= NARROWED


def test_each_row_asks_for_a_scope_that_can_be_had() -> None:
    assert set(ROUTE_SCOPES.values()) <= {*SCOPES, ADMINISTRATOR, ANY, CLIENT}


def test_the_administrator_may_everything_and_a_credential_nothing_but_what_it_has() -> None:
    bound = Principal("key:1", "a", frozenset({"function.invoke", "function.read"}), frozenset({"f"}))
    assert all(ADMIN.may(scope, "f") for scope in SCOPES)
    assert bound.may("function.invoke", "f") and not bound.may("function.invoke", "g")
    assert not bound.may("function.invoke"), "of all functions"
    assert bound.may("function.read", "g"), "is not narrowed"
    assert not bound.may("log.read", "f")


def refusal(needed: str, space: str | None, function: str | None = None) -> PlatformError:
    caller = Principal("key:1", "a", frozenset({"log.read"}), frozenset({"f"}))
    with pytest.raises(PlatformError) as caught:
        permissions.require(caller, needed, space, function)
    return caught.value


def test_another_space_is_a_404_whatever_is_asked_and_comes_before_the_scope() -> None:
    for needed in ("log.read", "secret.read", ANY, ADMINISTRATOR):
        assert (refusal(needed, "b").status, refusal(needed, "b").details) == (404, None)
        assert refusal(needed, "A").status == 404, "names are compared as they are"


def test_what_is_lacking_is_named() -> None:
    assert refusal("secret.read", "a").details == {"scope": "secret.read"}
    assert refusal(ADMINISTRATOR, None).status == 403
    assert refusal("log.read", "a", "g").details == {"scope": "log.read", "functions": ["f"]}
    assert refusal("log.read", "a").status == 403, "all functions are more than one"
