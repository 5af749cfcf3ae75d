"""A front's settings, as the warden tells them."""

from __future__ import annotations

import json
from typing import Any

from supervisor.settings import front_settings
from supervisor.settings.validated import validated


def told(**settings: Any) -> front_settings.FrontSettings:
    """Validated by the one side, and told to the other as text."""
    return front_settings.at_start(
        json.loads(json.dumps(front_settings.for_a_new_front(validated(None, settings))))
    )
