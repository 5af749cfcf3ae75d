"""A front's settings, as the warden tells them."""

from __future__ import annotations

import json
from typing import Any

from supervisor import reloading, told
from supervisor.validated import validated


def front_settings(**settings: Any) -> told.FrontSettings:
    """Validated by the one side, and told to the other as text."""
    return told.at_start(json.loads(json.dumps(reloading.for_a_new_front(validated(None, settings)))))
