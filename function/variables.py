"""Variables of the function's space: any JSON value.  The next call sees a changed variable.

>>> from function import variables
>>> variables.get("no_such_variable")
''
"""

import copy
from typing import Any

from function._seam import CurrentValues

__all__ = ["exists", "get"]


def get(variable_name: str) -> Any:
    """The variable's value, or ``""`` if the space has no variable of that name.

    A list or dict is a copy: the next call does not see what a function changes in it.
    """
    return copy.deepcopy(CurrentValues.variables.get(variable_name, ""))


def exists(variable_name: str) -> bool:
    """Whether the space has a variable of that name."""
    return variable_name in CurrentValues.variables
