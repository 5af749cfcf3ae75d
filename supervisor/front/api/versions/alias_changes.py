"""What a change of an alias or a label does: checked and stored in one transaction, then told to every front.

No front remembers labels, so nobody is told of those.
"""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.errors import shown
from supervisor.front.api import deploys
from supervisor.front.api.context import Context
from supervisor.front.api.versions.preconditions import Precondition, alias_tag, version_tag
from supervisor.store import Alias, StoredFunction, Version, WantedAlias
from supervisor.store.store import Store


async def put_alias(
    context: Context, store: Store, space: str, name: str, wanted: WantedAlias, precondition: Precondition
) -> tuple[StoredFunction, Alias, bool]:
    """Make or replace an alias; the function, the alias, and whether it is new.

    PlatformError 404, 412, or 422 for a version that is not there or cannot run here now.
    """

    def check(function: StoredFunction, before: Alias | None, versions: Sequence[Version]) -> None:
        _check_alias(precondition, function, wanted.name, before)
        for version in versions:
            deploys.check_settings(context, version.content)

    async def commit() -> tuple[StoredFunction, Alias, bool]:
        made = await context.blocking(store.aliases.put, space, name, wanted, check)
        await context.control.function_changed(space, name)
        return made

    return await context.to_its_end(commit())


async def delete_alias(
    context: Context, store: Store, space: str, name: str, alias: str, precondition: Precondition
) -> None:
    """Delete an alias; PlatformError 404 or 412."""

    def check(function: StoredFunction, before: Alias | None, _: Sequence[Version]) -> None:
        _check_alias(precondition, function, alias, before)

    async def commit() -> None:
        await context.blocking(store.aliases.delete, space, name, alias, check)
        await context.control.function_changed(space, name)

    await context.to_its_end(commit())


async def put_label(
    context: Context,
    store: Store,
    space: str,
    name: str,
    number: int,
    label: str | None,
    precondition: Precondition,
) -> tuple[StoredFunction, Version]:
    """Set a version's label, or (None) take it away; PlatformError 404, 409 or 412."""

    def check(function: StoredFunction, version: Version) -> None:
        now = f"has the label {shown(version.label)}" if version.label is not None else "has no label"
        precondition.check(version_tag(function, version), f"version {number} of {shown(name)} {now}")

    return await context.blocking(store.aliases.put_label, space, name, number, label, check)


def _check_alias(
    precondition: Precondition, function: StoredFunction, name: str, before: Alias | None
) -> None:
    called = shown(f"{function.name}@{name}")
    if before is None:
        precondition.check(None, f"there is no {called}")
        return
    canary = f", and {before.share / 100:g} % of its calls {before.canary}" if before.canary else ""
    precondition.check(alias_tag(function, before), f"{called} names version {before.version}{canary} now")
