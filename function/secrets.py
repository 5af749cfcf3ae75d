"""Secrets of the function's space.  The next call sees a changed secret.

>>> from function import secrets
>>> secrets.get("no_such_secret")
''
"""

from function._seam import CurrentValues

__all__ = ["exists", "get"]


def get(secret_name: str) -> str:
    """The secret's value, or ``""`` if the space has no secret of that name."""
    return CurrentValues.secrets.get(secret_name, "")


def exists(secret_name: str) -> bool:
    """Whether the space has a secret of that name."""
    return secret_name in CurrentValues.secrets
