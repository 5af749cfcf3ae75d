"""The scope that each route needs: the API's description, the command line's help and a test share it.

A route is named as its handler is.  ``ADMINISTRATOR`` is no scope: no credential of a space has it.
``ANY`` is enough credential of any kind, and the answer shows only what its holder may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ADMINISTRATOR = "administrator"
ANY = "any"

ROUTE_SCOPES: Mapping[str, str] = MappingProxyType(
    {
        # spaces
        "create_space": ADMINISTRATOR,
        "list_spaces": ANY,
        "show_space": "space.read",
        "change_space": ADMINISTRATOR,
        "delete_space": ADMINISTRATOR,
        # the audit
        "read_audit": ADMINISTRATOR,
        "read_audit_of_space": "space.admin",
        # functions
        "create_function": "function.create",
        "list_functions": "function.read",
        "show_function": "function.read",
        "change_function": "function.update",
        "patch_function": "function.update",
        "delete_function": "function.delete",
        "show_code": "function.read",
        "list_versions": "function.read",
        "roll_back": "function.update",
        # secrets and variables
        "list_secrets": "secret.read",
        "show_secret": "secret.read",
        "put_secret": "secret.update",
        "delete_secret": "secret.delete",
        "list_variables": "variable.read",
        "show_variable": "variable.read",
        "put_variable": "variable.update",
        "delete_variable": "variable.delete",
        # logs and activity
        "read_logs": "log.read",
        "read_space_logs": "log.read",
        "show_activity_of_space": "space.read",
        # the server
        "show_activity": ADMINISTRATOR,
        "renew_zygotes": ADMINISTRATOR,
    }
)
