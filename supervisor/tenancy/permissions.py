"""Whether a recognised caller may do what a route does, and what it is told if not.

A caller learns nothing of another space: what is there and what is not get the same 404, before anything is
looked up.  What it lacks in its own space it is told by name.
"""

from __future__ import annotations

from supervisor.errors import PlatformError, shown
from supervisor.tenancy.principal import Principal
from supervisor.tenancy.route_scopes import ADMINISTRATOR, ANY
from supervisor.tenancy.scopes import NARROWED

FUNCTIONS_SHOWN = 10  # of those that a credential is bound to


def require(principal: Principal, needed: str, space: str | None, function: str | None = None) -> None:
    """PlatformError 404 for another space than the principal's, 403 for what it lacks.

    ``needed`` is a scope, ADMINISTRATOR or ANY; ``space`` is None for a route that is below no space.
    """
    if principal.is_admin:
        return
    if space is not None and space != principal.space:
        raise unknown_space(space)
    if needed == ANY:
        return
    if needed == ADMINISTRATOR:
        raise PlatformError(
            403, "this is the administrator's alone, and no credential of a space opens it", {"scope": needed}
        )
    if not principal.may(needed, function):
        raise lacking(principal, needed)


def unknown_space(space: str) -> PlatformError:
    """The 404 of a space that there is not, or is not the caller's."""
    return PlatformError(404, f"space not found: there is no space {shown(space)}")


def lacking(principal: Principal, needed: str) -> PlatformError:
    """The 403 of a caller without the scope, or bound to other functions."""
    bound = principal.functions
    if needed in principal.scopes and needed in NARROWED and bound is not None:
        names = ", ".join(sorted(bound)[:FUNCTIONS_SHOWN])
        return PlatformError(
            403,
            f"this credential has {needed} for some functions only: {names}; ask for one of them",
            {"scope": needed, "functions": sorted(bound)[:FUNCTIONS_SHOWN]},
        )
    return PlatformError(
        403,
        f"this credential lacks the scope {needed}; use one that has it, "
        "which a holder of space.admin can make",
        {"scope": needed},
    )
