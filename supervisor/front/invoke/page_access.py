"""Whether a page of another origin may read an answer for a function: the option ``cors``, looked up."""

from __future__ import annotations

import logging

from supervisor.errors import PlatformError
from supervisor.front.functions.directory import Directory
from supervisor.front.functions.suspended_functions import Suspended
from supervisor.front.invoke.origins import Asked
from supervisor.front.outcome import cors
from supervisor.front.outcome.answers import Headers

log = logging.getLogger("cellblock.front")


async def cors_of(directory: Directory, asked: Asked, request_headers: Headers) -> cors.Cors | None:
    """The option of a function, if it admits the origin of a request.

    A caller from any other origin learns nothing: for it the function may as well not exist.
    """
    try:
        if asked.qualifier:  # a preflight has no key, and asks for any version
            traffic = await directory.traffic(asked.space, asked.name, asked.qualifier)
            function = traffic.main if traffic is not None else None
        else:
            function = await directory.find(asked.space, asked.name)
        found = function.cors if function is not None else None
    except Suspended as suspended:
        found = suspended.cors
    except PlatformError as leaving:
        log.info("a page cannot read a refusal: %s", leaving)
        return None
    except Exception:  # a door: the refusal itself is given all the same
        log.exception("a page cannot read a refusal: our own mistake")
        return None
    return found if found is not None and found.allows(cors.origin_of(request_headers)) else None
