"""What a path's ``NAME``, ``NAME@ALIAS`` or ``NAME@7`` stands for, where somebody reads."""

from __future__ import annotations

import re

from supervisor.front.api.versions.version_names import NUMBER
from supervisor.store import StoredFunction
from supervisor.store.store import Store


def called_version(store: Store, space: str, called: str) -> tuple[StoredFunction, frozenset[int] | None]:
    """The function as if the version that is named were its active one, and all versions that serve the name.

    None for those is every version.  Of an alias with a canary it is shown at the version that serves the
    rest.  PlatformError 404; it blocks.
    """
    name, _, qualifier = called.partition("@")
    if not qualifier:
        return store.function(space, name), None
    if re.fullmatch(NUMBER, qualifier):
        function, version = store.aliases.version(space, name, int(qualifier))
        return function._replace(active=version), frozenset({version.number})
    _, alias = store.aliases.one(space, name, qualifier)
    function, version = store.aliases.version(space, name, alias.version)
    serving = {alias.version} if alias.canary is None else {alias.version, alias.canary}
    return function._replace(active=version), frozenset(serving)
