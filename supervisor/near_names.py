"""The names that a mistyped one may have meant, for the end of a refusal.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from supervisor.errors import shown

# So many names are compared at most: a comparison takes some 20 µs, and a refusal must stay cheap.
COMPARED_MOST = 1000
# A longer name is nobody's typing error.
NAME_MOST_CHARS = 128
NEAR_MOST = 3
# So few names are all shown where none of them is near.
LISTED_MOST = 8
# Of difflib: 0 shares nothing, 1 is equal; ``wrokers`` and ``workers`` are 0.86, ``typo`` and ``demo`` 0.5.
LIKENESS_LEAST = 0.6
BEHIND_MOST = 0.1  # the nearest: of ``timeout`` and ``async_timeout`` only the first is near ``timout``


def near(name: str, known: Iterable[str]) -> list[str]:
    """The names most like ``name``, the nearest first; at most NEAR_MOST."""
    if len(name) > NAME_MOST_CHARS:
        return []
    from difflib import SequenceMatcher, get_close_matches  # here: most commands and requests need no hint

    found = get_close_matches(name, list(islice(known, COMPARED_MOST)), NEAR_MOST, LIKENESS_LEAST)
    if not found:
        return []
    likeness = {one: SequenceMatcher(None, one, name).ratio() for one in found}
    return [one for one in found if likeness[one] >= likeness[found[0]] - BEHIND_MOST]


def hint(name: str, known: Iterable[str]) -> str:
    """``did you mean 'a' or 'b'?``, else all names if they are few; "" if there is nothing to say.

    >>> hint("wrokers", ["workers", "bind"])
    "did you mean 'workers'?"
    >>> hint("xyz", ["a", "b"])
    'there are: a, b'
    """
    compared = list(islice(known, COMPARED_MOST))
    if found := near(name, compared):
        return f"did you mean {' or '.join(map(shown, found))}?"
    if not 0 < len(compared) <= LISTED_MOST:
        return ""
    return f"there {'is only' if len(compared) == 1 else 'are'}: {', '.join(sorted(compared))}"
