"""Secrets of the function's space.  A changed secret is seen by the next call.

>>> from function import secrets
>>> secrets.get("no_such_secret")
''
"""

from function._seam import Values

__all__ = ["exists", "get"]


def get(secret_name: str) -> str:
    """The secret's value, or ``""`` if the space has no secret of that name."""
    return Values.secrets.get(secret_name, "")


def exists(secret_name: str) -> bool:
    """Whether the space has a secret of that name."""
    return secret_name in Values.secrets
