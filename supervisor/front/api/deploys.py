"""Deploys: check everything, store it, then tell every front.

A change is merged with the active version, checked as a whole, and stored only if that version is still the
active one; otherwise it is merged and checked again.  So two deploys at once give two versions in some order,
each of them checked, and never an unchecked mixture.  A ``store`` that is given acts for the caller.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import string
from dataclasses import replace
from functools import partial
from typing import Any

from supervisor.errors import PlatformError, shown
from supervisor.front.api.context import Context
from supervisor.front.api.schemas import FunctionChange, FunctionCreate, FunctionPatch, checked_env
from supervisor.front.api_control import DEFAULT_TEMPLATE
from supervisor.function_options import Options
from supervisor.store import Content, StaleWriteError, StoredFunction
from supervisor.store.store import Store

ATTEMPTS = 5  # each fails only because another deploy succeeded
_NO_WHITESPACE = str.maketrans("", "", string.whitespace)  # base64(1) wraps its lines


async def create(context: Context, store: Store, space: str, wanted: FunctionCreate) -> StoredFunction:
    """Create and deploy a function; PlatformError 404, 409 if it exists, 413 or 422 if it is not valid."""
    # Refused early, before the bundle is unpacked; the store decides again at the end.
    await context.blocking(context.store.spaces.require, space)
    if await context.blocking(context.store.has_function, space, wanted.name):
        raise PlatformError(
            409,
            f"This function already exists: {shown(wanted.name)} in space {shown(space)}; "
            "change it with PUT, or choose another name",
        )
    content = Content(
        digest="",
        template=wanted.template,
        description=wanted.description,
        env=wanted.env,
        options=wanted.options.named(),
    )
    _check_settings(context, content)

    async def commit(content: Content) -> StoredFunction:
        made = await context.blocking(store.create_function, space, wanted.name, content, needs_bundle=True)
        await context.control.function_changed(space, wanted.name)
        return made

    for _ in range(ATTEMPTS):  # each fails only because a space that had the same code was deleted
        content = replace(content, digest=await context.blocking(_add, context, wanted.source.code))
        await _check_bundle(context, content)
        await _keep_bundle(context, content.digest)
        with contextlib.suppress(StaleWriteError):
            return await context.to_its_end(commit(content))
    raise _contended(wanted.name)


async def change(
    context: Context, store: Store, space: str, name: str, wanted: FunctionChange | FunctionPatch
) -> StoredFunction:
    """Deploy a change of a function; the same content again adds no version.

    PlatformError 404, 413 or 422; 409 if others kept changing it.
    """
    if wanted.name not in (None, name):
        raise PlatformError(
            422,
            f"cannot accept name: {shown(wanted.name)} is not the one in the path; a function keeps its name",
            {"field": "name"},
        )
    digest: str | None = None
    for _ in range(ATTEMPTS):
        found = await context.blocking(context.store.function, space, name)
        content = _merged(found.active.content, wanted)
        _check_settings(context, content)
        if wanted.source is not None:
            if digest is None:  # once, however often it is merged
                digest = await context.blocking(_add, context, wanted.source.code)
            content = replace(content, digest=digest)
        before = found.active.content
        if (content.template, content.digest) != (before.template, before.digest):
            if wanted.source is None:
                await context.blocking(context.bundles.ensure, content.digest)
            await _check_bundle(context, content)
        if wanted.source is not None:
            await _keep_bundle(context, content.digest)

        async def commit(found: StoredFunction = found, content: Content = content) -> StoredFunction:
            kept = context.settings.versions_kept
            is_sent = wanted.source is not None
            changed, _ = await context.blocking(store.deploy, found, content, kept, needs_bundle=is_sent)
            # Announced even if nothing changed: a caller may repeat a PUT whose announcement failed.
            await context.control.function_changed(space, name)
            return changed

        try:
            return await context.to_its_end(commit())
        except StaleWriteError:
            continue
    raise _contended(name)


async def roll_back(
    context: Context, store: Store, space: str, name: str, number: int | None
) -> StoredFunction:
    """Make an earlier version the active one; PlatformError 404, 409, or 422 if it cannot run here now."""
    for _ in range(ATTEMPTS):
        found, version = await context.blocking(context.store.version_to_roll_back_to, space, name, number)
        _check_settings(context, version.content)

        async def commit(found: StoredFunction = found) -> StoredFunction:
            changed = await context.blocking(store.activate, found, version)  # noqa: B023
            await context.control.function_changed(space, name)
            return changed

        try:
            return await context.to_its_end(commit())
        except StaleWriteError:
            continue
    raise _contended(name)


async def delete(context: Context, store: Store, space: str, name: str) -> None:
    """Delete a function and all its versions; PlatformError 404."""

    async def commit() -> None:
        digests = await context.blocking(store.delete_function, space, name)
        # Its calls may still run, so its bundles are kept for a while from now.
        await context.blocking(context.bundles.touch, digests)
        await context.control.function_deleted(space, name)

    await context.to_its_end(commit())


def _merged(before: Content, wanted: FunctionChange | FunctionPatch) -> Content:
    if isinstance(wanted, FunctionPatch):
        env, options = _patched_env(before.env, wanted), _patched_options(before.options, wanted)
    else:
        env = before.env if wanted.env is None else wanted.env
        options = before.options if wanted.options is None else wanted.options.named()
    return Content(
        digest=before.digest,
        template=before.template if wanted.template is None else wanted.template,
        description=before.description if wanted.description is None else wanted.description,
        env=env,
        options=options,
    )


def _patched_options(before: dict[str, Any], wanted: FunctionPatch) -> dict[str, Any]:
    """The options before, with those that the patch names: null takes one away, or with ``options`` all."""
    if wanted.options is None:
        return {} if "options" in wanted.model_fields_set else before
    kept = {name: value for name, value in before.items() if name not in wanted.options.model_fields_set}
    return kept | wanted.options.named()


def _patched_env(before: dict[str, str], wanted: FunctionPatch) -> dict[str, str]:
    if wanted.env is None:
        return {} if "env" in wanted.model_fields_set else before
    kept = {name: value for name, value in before.items() if name not in wanted.env}
    try:
        return checked_env(kept | {name: value for name, value in wanted.env.items() if value is not None})
    except ValueError as error:
        raise PlatformError(422, f"cannot accept env: {error}", {"field": "env"}) from None


def _check_settings(context: Context, content: Content) -> None:
    known = context.control.runtimes()
    if content.template != DEFAULT_TEMPLATE and content.template not in known:
        choices = ", ".join((DEFAULT_TEMPLATE, *known))
        raise PlatformError(
            422,
            f"cannot accept template: {shown(content.template)} is not known here; use one of {choices}",
            {"field": "template", "known": [DEFAULT_TEMPLATE, *known]},
        )
    context.check_limits(Options(**content.options))


def _add(context: Context, code: str) -> str:
    try:
        source = base64.b64decode(code.translate(_NO_WHITESPACE), validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise PlatformError(
            422,
            "cannot accept source.code: it is not base64; encode the file with `base64 -w0 handler.py`",
            {"field": "source.code"},
        ) from None
    return context.bundles.add(source)


async def _check_bundle(context: Context, content: Content) -> None:
    check = await context.control.check_bundle(content.template, content.digest)
    if not check.ok:
        raise PlatformError(
            422,
            f"cannot use the bundle: {check.message}",
            {} if check.line is None else {"line": check.line},
        )


async def _keep_bundle(context: Context, digest: str) -> None:
    """Have the bundle in the store, before a version names it.  The folder on disk is only a cache."""
    await context.blocking(context.store.put_bundle, digest, partial(context.bundles.pack, digest))


def _contended(name: str) -> PlatformError:
    return PlatformError(
        409,
        f"function {shown(name)} was changed by others {ATTEMPTS} times meanwhile; look at it and send again",
    )
