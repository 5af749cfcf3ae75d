"""What the fronts are told when they start."""

# No ``from __future__ import annotations``: the table of ``standby_messages`` reads the annotations.

from typing import Annotated, Any

from worker.message_fields import DictBound, ListBound, PatternBound, PlainBound, Record, TextBound

SETTINGS_MOST = 200
# A setting is a number, a text, or options by their names.
SETTING_LEVELS = 4
# gunicorn's exit code when a start can only fail again: somebody has to change the data directory first.
UNUSABLE = 78  # EX_CONFIG of sysexits.h
RUNTIMES_MOST = 100


class FrontStart(Record):
    """``runtimes`` has the default one first; ``tier`` is for people.

    ``settings.front_settings.at_start`` checks each of the settings.  Their bounds are not here, because the
    standby of a zygote reads this table too and would import all declarations for them.
    ``metrics_token_sha256`` is "" where only the administrator's token opens ``/metrics``.
    """

    settings: Annotated[dict[str, Any], DictBound(TextBound(64), PlainBound(SETTING_LEVELS), SETTINGS_MOST)]
    metrics_token_sha256: Annotated[str, PatternBound("([0-9a-f]{64})?")]
    runtimes: Annotated[list[str], ListBound(TextBound(64), RUNTIMES_MOST)]
    tier: Annotated[str, TextBound(16)] = ""
