"""The scope that each route needs: the API's description, the command line's help and a test share it.

A route is named as its handler is.  ``ADMINISTRATOR`` is no scope: no credential of a space has it.
``ANY`` is enough credential of any kind, and the answer shows only what its holder may see.  ``CLIENT`` takes
no token, but an app's client id and secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ADMINISTRATOR = "administrator"
ANY = "any"
CLIENT = "client"
# Calling a function is no route of the API; the gateway asks for this.
INVOKE = "function.invoke"

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
        "show_version": "function.read",
        "put_label": "function.update",
        "delete_label": "function.update",
        "list_aliases": "function.read",
        "show_alias": "function.read",
        "put_alias": "function.update",
        "delete_alias": "function.update",
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
        # credentials
        "create_app": "space.admin",
        "list_apps": "space.admin",
        "delete_app": "space.admin",
        "rotate_app": "space.admin",
        "create_key": "space.admin",
        "list_keys": "space.admin",
        "delete_key": "space.admin",
        "whoami": ANY,
        "issue_token": CLIENT,
        "revoke_token": CLIENT,
        # quotas and usage
        "show_quotas": "space.read",
        "put_quotas": ADMINISTRATOR,
        "show_usage": "space.read",
        "show_all_usage": ADMINISTRATOR,
        "list_closed_spaces": ADMINISTRATOR,
        # the server
        "show_activity": ADMINISTRATOR,
        "renew_zygotes": ADMINISTRATOR,
        "rotate_sealing_key": ADMINISTRATOR,
    }
)


def needs(scope: str) -> str:
    """What a row says, as a sentence."""
    return {
        ADMINISTRATOR: "For the administrator alone.",
        ANY: "Needs any credential.",
        CLIENT: "Needs an app's client id and secret.",
    }.get(scope, f"Needs the scope {scope}.")
