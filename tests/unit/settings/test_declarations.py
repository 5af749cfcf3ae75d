"""The server's settings: four sources, one that wins, and a refusal that names the setting."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from supervisor.errors import ConfigurationError
from supervisor.function_limits import DEFAULT_CEILINGS
from supervisor.settings import shared_settings as module
from supervisor.settings.declarations import Settings
from supervisor.settings.plain_sources import NotPlain, load, plain
from supervisor.settings.validated import Given, validated


@pytest.fixture(autouse=True)
def no_settings_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever CELLBLOCK_* variables the developer has do not count here."""
    for name in list(os.environ):
        if name.startswith("CELLBLOCK_"):
            monkeypatch.delenv(name)


def refusal(*arguments: Any, **given: Any) -> str:
    """What ``load`` says instead of settings: one line."""
    with pytest.raises(ConfigurationError) as caught:
        load(*arguments, **given)
    assert "\n" not in str(caught.value).strip()
    return str(caught.value)


def test_every_setting_has_a_sentence_and_a_default() -> None:
    assert list(Given.model_fields) == [field.name for field in fields(Settings)]
    for name, field in Given.model_fields.items():
        assert field.description, f"setting {name} has no description"
        assert not field.is_required(), f"setting {name} has no default"


def test_a_server_without_settings_listens_on_loopback_only() -> None:
    settings = load()
    assert settings.host_and_port == ("127.0.0.1", 8080)
    assert settings.admin_token is None
    assert settings.all_ceilings == DEFAULT_CEILINGS


def test_command_line_wins_over_environment_over_file_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_text("workers = 3\nmax_cells = 33\nqueue_depth = 333\n[defaults]\nmemory = 64\n")
    monkeypatch.setenv("CELLBLOCK_WORKERS", "4")
    monkeypatch.setenv("CELLBLOCK_MAX_CELLS", "44")
    settings = load(path, workers=5, max_cells=None)
    assert (settings.workers, settings.max_cells, settings.queue_depth) == (5, 44, 333)
    assert (settings.defaults, settings.blank_cells) == ({"memory": 64}, 4)


def test_the_file_can_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_text("workers = 7\n")
    monkeypatch.setenv("CELLBLOCK_CONFIG", str(path))
    assert load().workers == 7
    assert load(workers=8).workers == 8


def test_defaults_and_ceilings_come_from_nested_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLBLOCK_DEFAULTS__TIMEOUT", "3")
    monkeypatch.setenv("CELLBLOCK_CEILINGS__TIMEOUT", "5")
    settings = load()
    assert settings.defaults == {"timeout": 3}
    assert settings.all_ceilings == {**DEFAULT_CEILINGS, "timeout": 5}
    assert isinstance(settings.all_ceilings["timeout"], float)  # text could not be compared with a number


def test_the_token_is_shown_by_nothing_that_prints_settings() -> None:
    settings = load(admin_token="hunter2-hunter2")
    assert settings.admin_token == "hunter2-hunter2"
    assert "hunter2" not in repr(settings) + str(settings)


def test_settings_cannot_be_changed_once_they_are_loaded() -> None:
    with pytest.raises(FrozenInstanceError):
        load().workers = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("bind", "host_and_port"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("localhost:8080", ("localhost", 8080)),
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_bind_is_a_host_and_a_port(bind: str, host_and_port: tuple[str, int]) -> None:
    assert load(bind=bind).host_and_port == host_and_port


@pytest.mark.parametrize("bind", ["", ":", "8080", ":8080", "host:", "host:-1", "host:65536", "host:http",
                                  "host:\u00b2", "host:\u0663"])  # fmt: skip
def test_anything_else_is_refused_with_an_example(bind: str) -> None:
    assert "setting bind" in refusal(bind=bind)
    assert "such as 127.0.0.1:8080" in refusal(bind=bind)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("workers", 0, "at least 1"),
        ("workers", 257, "at most 256"),
        ("workers", "many", "a whole number"),
        ("cell_uid_base", 0, "at least 100000"),
        ("cell_uid_base", 4_000_000_001, "at most 4000000000"),
        ("queue_seconds", 0, "greater than 0"),
        ("queue_seconds", float("nan"), ""),
        ("init_seconds", -1, "greater than 0"),
        ("drain_seconds", 1e9, "at most 3600"),
        ("bundle_max_bytes", 0, "at least 1"),
        ("max_cells", 1 << 20, "at most 16384"),
        ("log_level", "verbose", "'debug', 'info', 'warning' or 'error'"),
        ("text_content_type", "x" * 201, "at most 200 characters"),
        ("ceilings", {"memroy": 5}, "unknown option 'memroy'; known: async_timeout, concurrency"),
        ("ceilings", {"memory": 1}, "at least 16"),
        ("ceilings", {"network": "all"}, "'none' or 'host'"),
        ("defaults", {"memroy": 5}, "Extra inputs"),
        ("defaults", {"timeout": 0}, "greater than 0"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: Any, word: str) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"cannot use setting {name}")
    assert word in message


def test_a_refused_token_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLBLOCK_WORKERS", "hunter2")
    assert "hunter2" not in refusal(admin_token=["hunter2"])


@pytest.mark.parametrize("name", ["CELLBLOCK_PRELOAD", "CELLBLOCK_CEILINGS", "CELLBLOCK_DEFAULTS"])
def test_a_variable_that_should_be_json_and_is_not_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "numpy, pandas")
    message = refusal()
    assert name.removeprefix("CELLBLOCK_").lower() in message.lower()
    assert "None" not in message  # it is no file's fault


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "none.toml"
    assert refusal(path) == f"cannot read the settings file {path}: no such file"
    monkeypatch.setenv("CELLBLOCK_CONFIG", str(path))
    assert refusal() == f"cannot read the settings file {path}: no such file"
    assert "no such file" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["workers = ", "workers", "= 5", "[defaults\n", "a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_text(text)
    assert str(path) in refusal(path)


def test_a_file_in_another_encoding_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_bytes('user = "café"'.encode("latin-1"))
    assert str(path) in refusal(path)


def test_a_setting_that_does_not_exist_is_refused_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cellblock.toml"
    path.write_text("wrokers = 5\n")
    assert refusal(path).startswith("cannot use setting wrokers")


def test_where_things_live_depends_on_who_starts_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    assert load().data_dir == Path("/var/lib/cellblock")
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    assert load().data_dir == Path("/home/ada/.local/share/cellblock")
    assert load(data_dir="/srv/x").front_dir == Path("/srv/x/front")


PLAIN: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("", {}, {}),
    ("", {"CELLBLOCK_ADMIN_TOKEN": "a" * 20, "CELLBLOCK_URL": "x", "OTHER": "y"}, {"workers": 3}),
    (
        "",
        {"CELLBLOCK_WORKERS": "007", "CELLBLOCK_QUEUE_SECONDS": "2.50", "CELLBLOCK_HUGE_PAGES": "false"},
        {},
    ),
    ("workers = 3\nqueue_seconds = 4\ncall_reports = true\nbind = '0.0.0.0:80'\n", {}, {"bind": "[::1]:1"}),
    (
        "workers = 3\ndata_dir = '/d'\n",
        {"CELLBLOCK_WORKERS": "4"},
        {"data_dir": Path("/e"), "insecure_dev": True},
    ),
    ("log_level = 'debug'\nmin_tier = 'A-user'\nuser = 'nobody'\ncell_uid_base = 200000\n", {}, {}),
]
# What has parts, what may be a mistake, and what is one.
NOT_PLAIN: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("", {"CELLBLOCK_PRELOAD": "[]"}, {}),
    ("preload = ['numpy']\n", {}, {}),
    ("[defaults]\nmemory = 64\n", {}, {}),
    ("", {"CELLBLOCK_DEFAULTS__MEMORY": "64"}, {}),
    ("", {"cellblock_workers": "3"}, {}),
    ("", {"CELLBLOCK_WORKERS": " 3"}, {}),
    ("", {"CELLBLOCK_WORKERS": "3.0"}, {}),
    ("", {"CELLBLOCK_WORKERS": "0"}, {}),
    ("", {"CELLBLOCK_WORKERS": "9" * 400}, {}),
    ("", {"CELLBLOCK_HUGE_PAGES": "Yes"}, {}),
    ("", {"CELLBLOCK_QUEUE_SECONDS": "nan"}, {}),
    ("", {"CELLBLOCK_QUEUE_SECONDS": "1e1"}, {}),
    ("", {"CELLBLOCK_BIND": ""}, {}),
    ("", {"CELLBLOCK_BIND": "nowhere"}, {}),
    ("", {"CELLBLOCK_OTLP_ENDPOINT": "http://localhost:4318"}, {}),
    ("workers = '3'\n", {}, {}),
    ("workers = 3.0\n", {}, {}),
    ("workers = true\n", {}, {}),
    ("queue_seconds = nan\n", {}, {}),
    ("user = 1000\n", {}, {}),
    ("no_such_setting = 1\n", {}, {}),
    ("workers = \n", {}, {}),
    ("", {}, {"log_level": "verbose"}),
    ("", {}, {"text_content_type": "x" * 201}),
]


def sources_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, environment: dict[str, str]
) -> Path | None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if not toml:
        return None
    path = tmp_path / "cellblock.toml"
    path.write_text(toml)
    return path


@pytest.mark.parametrize(("toml", "environment", "given"), PLAIN)
def test_plain_settings_are_what_the_library_finds_in_the_same_sources(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    toml: str,
    environment: dict[str, str],
    given: dict[str, Any],
) -> None:
    path = sources_of(tmp_path, monkeypatch, toml, environment)
    found = plain(path, os.environ, given)
    assert found == validated(path, given)
    for field in fields(Settings):
        assert type(getattr(found, field.name)) is type(getattr(validated(path, given), field.name)), (
            field.name
        )


@pytest.mark.parametrize(("toml", "environment", "given"), NOT_PLAIN)
def test_settings_that_are_not_plain_are_left_to_the_library(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    toml: str,
    environment: dict[str, str],
    given: dict[str, Any],
) -> None:
    with pytest.raises(NotPlain):
        plain(sources_of(tmp_path, monkeypatch, toml, environment), os.environ, given)


@hypothesis.given(
    st.sampled_from([field.name for field in fields(Settings)]),
    st.one_of(
        st.text("0123456789.-+e_ truefalsTRUE:/", max_size=12), st.integers(), st.floats(), st.booleans(),
        st.sampled_from(["debug", "A", "auto", "text", "json", "127.0.0.1:80"]),
    ),
)  # fmt: skip
def test_whatever_is_found_plain_is_what_the_library_finds(name: str, value: Any) -> None:
    try:
        found = plain(None, {}, {name: value})
    except NotPlain:
        return
    assert found == validated(None, {name: value})


@hypothesis.given(
    st.sampled_from([field.name for field in fields(Settings)]),
    st.text("0123456789.-+e_ truefalsTRUEdbug:/", max_size=12),
)
def test_whatever_is_found_plain_in_a_variable_is_what_the_library_finds(name: str, value: str) -> None:
    variable = f"CELLBLOCK_{name.upper()}"
    try:
        found = plain(None, {variable: value}, {})
    except NotPlain:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        assert found == validated(None, {})


def test_a_proxy_that_is_no_address_is_refused_and_networks_are_taken() -> None:
    assert load(trusted_proxies=("127.0.0.1", "10.0.0.0/8", "::1")).trusted_proxies[1] == "10.0.0.0/8"
    said = refusal(trusted_proxies=("127.0.0.1", "the-proxy"))
    assert "trusted_proxies" in said and "'the-proxy' does not appear to be" in said


def test_neither_token_is_in_what_the_settings_show() -> None:
    settings = load(admin_token="hunter2-hunter2", metrics_token="hunter3-hunter3-hunter3")
    assert "hunter" not in repr(settings)


def test_a_token_for_metrics_that_can_be_guessed_is_refused_without_being_shown() -> None:
    said = refusal(metrics_token="short-s3cret")
    assert "metrics_token" in said and "a token has at least 16 characters" in said and "s3cret" not in said
