"""Labels, aliases, If-Match, and deploys that meet, as the API has them."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.front.api.deploys import ATTEMPTS
from supervisor.store import StaleWriteError
from supervisor.store.aliases.alias_queries import ALIASES_MOST
from tests.support.api import FUNCTIONS, HELLO, Front, b64, body, refused
from tests.support.packing import CODE

OTHER_CODE, THIRD_CODE = CODE + b"# two\n", CODE + b"# three\n"
ALIASES = f"{HELLO}/aliases"


def source(code: bytes) -> dict[str, Any]:
    return {"source": {"code": b64(code)}}


def tag(api: Front, path: str) -> str:
    return str(api("GET", path).headers["etag"])


def conditional(api: Front, method: str, path: str, if_match: str, json: Any = None) -> Any:
    keywords = {} if json is None else {"json": json}
    (answer,) = api.together(api.send(method, path, headers={"If-Match": if_match}, **keywords))
    return answer


# ---- the same content, and deploys that meet -----------------------------------------------------


@pytest.mark.promise("S228")
def test_a_deploy_of_the_same_content_says_so_and_makes_no_version(api, hello):
    for method in ("PUT", "PATCH"):
        again = api(method, HELLO, source(CODE))
        assert (again.status_code, again.json()["unchanged"], again.json()["version"]) == (200, True, 1)
    changed = api("PUT", HELLO, source(OTHER_CODE)).json()
    assert (changed["unchanged"], changed["version"]) == (False, 2)


@pytest.mark.promise("S229")
def test_the_loser_of_two_deploys_of_code_gets_a_409_with_the_winner(api, hello, monkeypatch):
    original, interfered = api.store.deploy, []

    def deploy_late(based_on: Any, content: Any, kept: int, label: str | None, **more: Any) -> Any:
        if not interfered:
            interfered.append(True)
            digest = api.bundles.add(OTHER_CODE)
            won = type(content)(**{**based_on.active.content._asdict(), "digest": digest})
            api.store.__class__.deploy(api.store, based_on, won, kept, "the-winner")
        return original(based_on, content, kept, label, **more)

    monkeypatch.setattr(api.store, "acting_for", lambda actor: api.store)
    monkeypatch.setattr(api.store, "deploy", deploy_late)
    lost = api("PUT", HELLO, source(THIRD_CODE))
    error = refused(lost, 409, "another deploy of 'hello' was quicker", "version 2", "by server at 20")
    now = api("GET", HELLO)
    assert error["details"] == {
        "version": 2,
        "label": "the-winner",
        "digest": api.bundles.add(OTHER_CODE),
        "by": "server",
        "at": now.json()["updated_at"],
    }
    assert lost.headers["etag"] == now.headers["etag"] and now.json()["version"] == 2
    assert api("PUT", HELLO, source(THIRD_CODE)).json()["version"] == 3, "seen, it may be replaced"


def test_two_deploys_of_the_same_code_at_once_are_both_answered_with_it(api, hello, monkeypatch):
    """Two runs of one pipeline: the second one finds what it wanted."""
    original, interfered = api.store.deploy, []

    def deploy_late(based_on: Any, content: Any, *rest: Any, **more: Any) -> Any:
        if not interfered:
            interfered.append(True)
            api.store.__class__.deploy(api.store, based_on, content, *rest)
        return original(based_on, content, *rest, **more)

    monkeypatch.setattr(api.store, "acting_for", lambda actor: api.store)
    monkeypatch.setattr(api.store, "deploy", deploy_late)
    changed = api("PUT", HELLO, source(OTHER_CODE)).json()
    assert (changed["version"], changed["unchanged"]) == (2, True)


def test_code_that_loses_against_a_change_of_fields_is_merged_with_it(api, hello, monkeypatch):
    original, interfered = api.store.deploy, []

    def deploy_late(based_on: Any, content: Any, *rest: Any, **more: Any) -> Any:
        if not interfered:
            interfered.append(True)
            won = type(content)(**{**based_on.active.content._asdict(), "env": {"A": "1"}})
            api.store.__class__.deploy(api.store, based_on, won, *rest)
        return original(based_on, content, *rest, **more)

    monkeypatch.setattr(api.store, "acting_for", lambda actor: api.store)
    monkeypatch.setattr(api.store, "deploy", deploy_late)
    changed = api("PUT", HELLO, source(OTHER_CODE)).json()
    assert (changed["version"], changed["env"], changed["digest"]) == (
        3,
        {"A": "1"},
        api.bundles.add(OTHER_CODE),
    )


# ---- If-Match --------------------------------------------------------------------------------------


@pytest.mark.promise("S230")
@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("PUT", HELLO, {"description": "mine"}),
        ("PATCH", HELLO, {"description": "mine"}),
        ("DELETE", HELLO, None),
        ("POST", f"{HELLO}/rollback", {"version": 1}),
        ("PUT", f"{ALIASES}/prod", {"version": 2}),
        ("DELETE", f"{ALIASES}/prod", None),
        ("PUT", f"{HELLO}/versions/1/label", {"label": "mine"}),
        ("DELETE", f"{HELLO}/versions/1/label", None),
    ],
)
def test_a_change_is_made_only_to_what_its_caller_has_seen(api, hello, method, path, content):
    api("PUT", HELLO, source(OTHER_CODE))
    api("PUT", f"{ALIASES}/prod", {"version": 1})
    api("PUT", f"{HELLO}/versions/1/label", {"label": "one"})
    shown = path.removesuffix("/rollback").removesuffix("/label")
    seen = tag(api, shown)
    told = len(api.control.told)
    refused(conditional(api, method, path, "no tag", content), 400, "If-Match")
    for stale in ('"another"', f"W/{seen}", f'"a", "b" , W/{seen}'):
        answer = conditional(api, method, path, stale, content)
        refused(answer, 412, "precondition failed")
        assert answer.headers["etag"] == seen == answer.json()["error"]["details"]["etag"]
    assert tag(api, shown) == seen and len(api.control.told) == told, "nothing was done"
    assert conditional(api, method, path, f'"x", {seen}', content).status_code in (200, 201, 204)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("PUT", HELLO, {"description": "mine"}, 200),
        ("PUT", f"{ALIASES}/prod", {"version": 1}, 412),
        ("DELETE", f"{ALIASES}/prod", None, 404),
        ("PUT", f"{FUNCTIONS}/absent", {"description": "mine"}, 404),
    ],
)
def test_the_star_is_for_what_is_there(api, hello, method, path, content, status):
    assert conditional(api, method, path, "*", content).status_code == status


def test_every_answer_about_a_function_has_its_tag_which_each_change_changes(api, tmp_path):
    made = api("POST", FUNCTIONS, body())
    tags = [made.headers["etag"], api("PUT", HELLO, source(OTHER_CODE)).headers["etag"]]
    tags.append(api("PATCH", HELLO, {"description": "new"}).headers["etag"])
    assert tag(api, HELLO) == tags[-1] and len(set(tags)) == 3
    assert tag(api, f"{HELLO}@1") == tags[0]
    assert api("POST", f"{HELLO}/rollback", {"version": 2}).headers["etag"] == tags[1]
    assert api("PUT", HELLO, source(OTHER_CODE)).json()["unchanged"] and tag(api, HELLO) == tags[1]
    api("DELETE", HELLO)
    assert api("POST", FUNCTIONS, body()).headers["etag"] != tags[0], "another function of that name"


# ---- labels ----------------------------------------------------------------------------------------


@pytest.mark.promise("S231")
def test_a_label_is_of_one_version_and_shown_with_it(api, tmp_path):
    made = api("POST", FUNCTIONS, body(label="v1")).json()
    assert (made["version"], made["label"]) == (1, "v1")
    changed = api("PUT", HELLO, {**source(OTHER_CODE), "label": "v2"}).json()
    assert (changed["version"], changed["label"]) == (2, "v2")
    error = refused(api("PUT", HELLO, {**source(THIRD_CODE), "label": "v1"}), 409, "version 1", "'v1'")
    assert error["details"] == {"field": "label", "version": 1}
    assert api("GET", HELLO).json()["version"] == 2, "nothing of it was stored"
    again = api("PATCH", HELLO, {"label": "v2.0"}).json()
    assert (again["version"], again["unchanged"], again["label"]) == (2, True, "v2.0")
    assert api("PUT", f"{HELLO}/versions/1/label", {"label": "v2"}).json()["label"] == "v2"
    assert [each["label"] for each in api("GET", f"{HELLO}/versions").json()["data"]] == ["v2.0", "v2"]
    assert api("DELETE", f"{HELLO}/versions/1/label").status_code == 204
    assert api("GET", f"{HELLO}/versions/1").json()["label"] is None
    refused(api("PUT", f"{HELLO}/versions/9/label", {"label": "x"}), 404, "no version 9")


@pytest.mark.parametrize("label", ["", " a", "a ", "ä", "a\n", "a" * 65, "\x7f", "a\tb"])
def test_what_is_no_label_is_refused(api, hello, label):
    refused(api("PUT", f"{HELLO}/versions/1/label", {"label": label}), 422, "a label is 1 to 64")
    assert api("PUT", f"{HELLO}/versions/1/label", {"label": "before the move, #7"}).status_code == 200


# ---- aliases ---------------------------------------------------------------------------------------


def test_an_alias_is_set_shown_listed_and_deleted_and_every_front_is_told(api, hello):
    api("PUT", HELLO, source(OTHER_CODE))
    told = len(api.control.told)
    made = api("PUT", f"{ALIASES}/prod", {"version": 1})
    assert made.status_code == 201
    canary = {"version": 2, "share": 12.34}
    changed = api("PUT", f"{ALIASES}/prod", {"version": 1, "canary": canary})
    assert (changed.status_code, changed.json()["canary"]) == (200, canary)
    api("PUT", f"{ALIASES}/beta", {"version": 2})
    assert [each["name"] for each in api("GET", ALIASES).json()["data"]] == ["beta", "prod"]
    assert api("GET", f"{ALIASES}/prod").json() == changed.json()
    listed = api("GET", f"{HELLO}/versions").json()["data"]
    assert [(each["version"], each["aliases"]) for each in listed] == [(2, ["beta", "prod"]), (1, ["prod"])]
    assert api("GET", f"{HELLO}@prod").json()["version"] == 1
    assert api("DELETE", f"{ALIASES}/prod").status_code == 204
    refused(api("GET", f"{ALIASES}/prod"), 404, "no alias 'prod'", "there is only: beta")
    assert api.control.told[told:] == [("function", "demo", "hello")] * 4


@pytest.mark.parametrize(
    ("alias", "content", "says"),
    [
        ("7", {"version": 1}, "a number names a version"),
        ("Prod", {"version": 1}, "lowercase"),
        ("prod", {"version": 9}, "cannot accept version: 'hello' has no version 9"),
        ("prod", {"version": 1, "canary": {"version": 9, "share": 5}}, "cannot accept canary.version"),
        ("prod", {"version": 1, "canary": {"version": 1, "share": 5}}, "name another one"),
        ("prod", {"version": 1, "canary": {"version": 2, "share": 0}}, "canary.share"),
        ("prod", {"version": 1, "canary": {"version": 2, "share": 100.01}}, "canary.share"),
        ("prod", {"version": 1, "canary": {"version": 2, "share": 0.001}}, "at most two decimals"),
        ("prod", {}, "version"),
        ("prod", {"version": 1, "share": 5}, "there is no such field"),
    ],
)
def test_what_is_no_alias_is_refused_with_the_reason(api, hello, alias, content, says):
    refused(api("PUT", f"{ALIASES}/{alias}", content), 422, says)
    assert api("GET", ALIASES).json()["data"] == []


def test_a_function_has_a_most_of_aliases_and_its_end_is_theirs(api, hello):
    for number in range(ALIASES_MOST):
        assert api("PUT", f"{ALIASES}/a{number}", {"version": 1}).status_code == 201
    refused(api("PUT", f"{ALIASES}/one-more", {"version": 1}), 422, f"at most {ALIASES_MOST}")
    assert api("PUT", f"{ALIASES}/a0", {"version": 1}).status_code == 200
    assert api("DELETE", HELLO).status_code == 204
    api("POST", FUNCTIONS, body())
    assert api("GET", ALIASES).json()["data"] == []


def test_an_alias_names_no_version_that_cannot_run_here(api, hello, monkeypatch):
    api("PUT", HELLO, {"template": "python3.9"})
    monkeypatch.setattr(api.control, "_runtimes", ("python3.11",))
    refused(api("PUT", f"{ALIASES}/prod", {"version": 2}), 422, "template", "python3.9")
    assert api("PUT", f"{ALIASES}/prod", {"version": 1}).status_code == 201


@pytest.mark.parametrize(
    "called", ["hello@", "hello@@prod", "@prod", "hello@PROD", "hello@prod@prod", "hello%00@prod"]
)
def test_what_is_no_name_of_a_version_is_refused(api, hello, called):
    assert api("GET", f"{FUNCTIONS}/{called}").status_code in (404, 422)
    assert api("PUT", f"{FUNCTIONS}/{called}", {"description": "x"}).status_code in (404, 422)


def test_a_version_is_not_changed_by_its_name(api, hello):
    """A change is of the function: ``hello@prod`` is nothing that a PUT could be for."""
    api("PUT", f"{ALIASES}/prod", {"version": 1})
    for method, path, content in (
        ("PUT", f"{HELLO}@prod", {"description": "x"}),
        ("DELETE", f"{HELLO}@prod", None),
        ("POST", f"{HELLO}@1/rollback", {}),
    ):
        refused(api(method, path, content), 422, "name")


def test_the_tries_of_a_change_have_an_end(api, hello, monkeypatch):
    tried = []

    def always_late(*_: Any, **__: Any) -> Any:
        tried.append(1)
        raise StaleWriteError

    monkeypatch.setattr(api.store, "acting_for", lambda actor: api.store)
    monkeypatch.setattr(api.store, "deploy", always_late)
    refused(api("PUT", HELLO, source(OTHER_CODE)), 409, f"{ATTEMPTS} times")
    assert len(tried) == ATTEMPTS
