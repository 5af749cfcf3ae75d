"""What a second reading of the settings changes in a running server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from supervisor.settings import front_settings, reloading
from supervisor.settings.declarations import Settings
from tests.support.told import told

FRONT = Path(front_settings.__file__).parents[1] / "front"


def test_what_may_change_does_and_what_may_not_is_named() -> None:
    running = Settings(bind="127.0.0.1:1", queue_seconds=3, workers=2)
    wanted = Settings(bind="127.0.0.1:2", queue_seconds=4, workers=2, data_dir=Path("/elsewhere"))

    change = reloading.between(running, wanted)

    assert change.changed == ("queue_seconds",)
    assert change.deferred == ("bind", "data_dir")
    assert (change.settings.queue_seconds, change.settings.bind) == (4, "127.0.0.1:1")


def test_the_same_again_is_no_change() -> None:
    settings = Settings(defaults={"timeout": 5}, ceilings={"timeout": 7})

    assert reloading.between(settings, settings) == reloading.SettingsChange(settings, (), ())


def test_a_front_has_what_it_was_told_and_keeps_the_rest() -> None:
    warden = Settings(queue_seconds=4, defaults={"timeout": 5}, ceilings={"timeout": 7}, workers=3)
    front = told(queue_seconds=3, body_seconds=9, workers=5)

    after = front_settings.after_change(front, front_settings.for_running_fronts(warden))

    assert (after.queue_seconds, after.defaults, after.all_ceilings) == (
        4,
        {"timeout": 5},
        warden.all_ceilings,
    )
    assert (after.body_seconds, after.workers) == (9, 5)


def test_a_front_has_a_part_of_the_settings_as_they_are_and_nothing_that_it_does_not_use(
    tmp_path: Path,
) -> None:
    settings = Settings(
        data_dir=tmp_path, admin_token="t0ken", defaults={"timeout": 5}, otlp_headers={"a": "b"}, workers=5
    )

    text = json.dumps(front_settings.for_a_new_front(settings))
    front = front_settings.at_start(json.loads(text))

    assert "t0ken" not in text
    for name in front_settings.FIELDS:
        assert getattr(front, name) == getattr(settings, name), name
        assert type(getattr(front, name)) is type(getattr(settings, name)), name
    assert front.front_dir == settings.front_dir
    assert front.all_ceilings == settings.all_ceilings
    assert front_settings.LIVE <= front_settings.FIELDS
    source = "".join(path.read_text() for path in FRONT.rglob("*.py"))
    read = {"ceilings": "all_ceilings", "data_dir": "front_dir", "store_url": "shared_store"}
    for name in front_settings.FIELDS:
        assert re.search(rf"settings\.{read.get(name, name)}\b", source), f"no front uses {name}"


def test_a_front_takes_no_default_for_a_setting_that_it_was_not_told() -> None:
    values = front_settings.for_a_new_front(Settings())
    del values["head_seconds"]

    with pytest.raises(ValueError, match="head_seconds"):
        front_settings.at_start(values)


def test_a_message_to_a_front_is_small() -> None:
    longest = Settings(text_content_type="x" * 200, defaults={"timeout": 5}, ceilings={"timeout": 7})

    assert len(str(front_settings.for_running_fronts(longest))) < 4096
