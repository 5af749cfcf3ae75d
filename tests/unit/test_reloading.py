"""What a second reading of the settings changes in a running server."""

from __future__ import annotations

from pathlib import Path

from supervisor import reloading
from supervisor.settings import Settings


def test_what_may_change_does_and_what_may_not_is_named() -> None:
    running = Settings(bind="127.0.0.1:1", queue_seconds=3, workers=2)
    wanted = Settings(bind="127.0.0.1:2", queue_seconds=4, workers=2, data_dir=Path("/elsewhere"))

    change = reloading.between(running, wanted)

    assert change.changed == ("queue_seconds",)
    assert change.deferred == ("bind", "data_dir")
    assert (change.settings.queue_seconds, change.settings.bind) == (4, "127.0.0.1:1")


def test_the_same_again_is_no_change() -> None:
    settings = Settings(defaults={"timeout": 5}, ceilings={"timeout": 7})

    assert reloading.between(settings, settings) == reloading.Change(settings, (), ())


def test_a_front_has_what_it_was_told_and_keeps_the_rest() -> None:
    warden = Settings(queue_seconds=4, defaults={"timeout": 5}, ceilings={"timeout": 7}, workers=3)
    front = Settings(queue_seconds=3, body_seconds=9, workers=5)

    told = reloading.told(front, reloading.for_fronts(warden))

    assert (told.queue_seconds, told.defaults, told.all_ceilings) == (4, warden.defaults, warden.all_ceilings)
    assert (told.body_seconds, told.workers) == (9, 5)


def test_a_message_to_a_front_is_small() -> None:
    longest = Settings(text_content_type="x" * 200, defaults={"timeout": 5}, ceilings={"timeout": 7})

    assert len(str(reloading.for_fronts(longest))) < 4096
