"""The functions of suspended spaces that were called: each further call is refused without a look-up."""

from __future__ import annotations

from collections import OrderedDict

from supervisor.errors import PlatformError
from supervisor.front.outcome.cors import Cors, of_option
from supervisor.function_limits import Limits
from supervisor.store import FunctionKey

# So many are remembered, or each call to one would cost a query.
SUSPENDED_MOST = 10_000


class Suspended(PlatformError):
    """403 of a function whose space is suspended; ``is_public`` and ``cors`` are the function's options."""

    def __init__(self, space: str, is_public: bool, cors: Cors | None) -> None:
        super().__init__(
            403,
            f"space {space!r} is suspended: its functions answer no call until the server's operator resumes "
            "it; ask the operator",
            {"reason": "suspended"},
        )
        self.is_public = is_public
        self.cors = cors


class SuspendedFunctions:
    """Those that one front has looked up and not forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[FunctionKey, tuple[bool, Cors | None]] = OrderedDict()

    def keys(self) -> list[FunctionKey]:
        """All of them."""
        return list(self._known)

    def found(self, key: FunctionKey, limits: Limits) -> None:
        """Note what a look-up found."""
        self._known[key] = limits.public, of_option(limits.cors)
        if len(self._known) > SUSPENDED_MOST:
            self._known.popitem(last=False)

    def forget(self, key: FunctionKey) -> None:
        """Have it looked up again."""
        self._known.pop(key, None)

    def check(self, key: FunctionKey) -> None:
        """Suspended, if it is one of them."""
        known = self._known.get(key)
        if known is not None:
            raise Suspended(key[0], *known)
