"""Variables of the function's space: any JSON value.  A changed one is seen by the next call.

>>> from function import variables
>>> variables.get("no_such_variable")
''
"""

import copy
from typing import Any

from function._seam import Values

__all__ = ["exists", "get"]


def get(variable_name: str) -> Any:
    """The variable's value, or ``""`` if the space has no variable of that name.

    A list or dict is a copy: what a function does to it, the next call does not see.
    """
    return copy.deepcopy(Values.variables.get(variable_name, ""))


def exists(variable_name: str) -> bool:
    """Whether the space has a variable of that name."""
    return variable_name in Values.variables
