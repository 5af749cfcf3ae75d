"""Which routes a command asks, and so which scopes its credential needs: the last line of its help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from supervisor.tenancy.route_scopes import INVOKE, ROUTE_SCOPES, needs

# By the command's full name without ``cellblock``; ``invoke`` stands for no route of the API.
COMMAND_ROUTES: Mapping[str, tuple[str, ...]] = {
    "top": ("show_activity",),
    "instances": ("show_activity_of_space",),
    "renew": ("renew_zygotes",),
    "deploy": ("create_function", "change_function", "show_function"),
    "invoke": ("invoke",),
    "logs": ("read_logs",),
    "code": ("show_code",),
    "functions list": ("list_functions",),
    "functions show": ("show_function",),
    "functions rm": ("delete_function",),
    "functions versions": ("list_versions",),
    "functions rollback": ("roll_back",),
    "functions label": ("put_label", "delete_label"),
    "versions": ("list_versions",),
    "rollback": ("roll_back",),
    "aliases set": ("put_alias",),
    "aliases list": ("list_aliases",),
    "aliases rm": ("delete_alias",),
    "secrets set": ("put_secret",),
    "secrets list": ("list_secrets",),
    "secrets rm": ("delete_secret",),
    "variables set": ("put_variable",),
    "variables list": ("list_variables",),
    "variables rm": ("delete_variable",),
    "apps add": ("create_app",),
    "apps list": ("list_apps",),
    "apps rotate": ("rotate_app", "list_apps"),
    "apps remove": ("delete_app", "list_apps"),
    "keys add": ("create_key",),
    "keys list": ("list_keys",),
    "keys remove": ("delete_key", "list_keys"),
    "keys rotate": ("rotate_sealing_key",),
    "spaces list": ("list_spaces",),
    "spaces create": ("create_space",),
    "spaces show": ("show_space",),
    "spaces title": ("change_space",),
    "spaces suspend": ("change_space",),
    "spaces resume": ("change_space",),
    "spaces remove": ("delete_space",),
    "quotas show": ("show_quotas",),
    "quotas set": ("put_quotas",),
    "usage": ("show_usage",),
    "audit": ("read_audit_of_space",),
    "login": ("whoami",),
    "whoami": ("whoami",),
}
# What is asked of no route of the API.
OTHERS: Mapping[str, str] = {"layers": "For the administrator alone.", "version": "", "logout": ""}


def sentence_of(command: str) -> str:
    """What the help of a command says at its end; "" for one that asks no server."""
    if command in OTHERS:
        return OTHERS[command]
    routes = COMMAND_ROUTES.get(command, ())
    scopes = list(dict.fromkeys(INVOKE if route == "invoke" else ROUTE_SCOPES[route] for route in routes))
    if not scopes:
        return ""
    if len(scopes) == 1:
        return needs(scopes[0])
    return f"Needs the scopes {', '.join(scopes[:-1])} and {scopes[-1]}."


def say_in_help(app: typer.Typer) -> None:
    """Put the sentence of each command into its help."""
    for name, info in _commands(app, ""):
        info.epilog = sentence_of(name) or info.epilog


def _commands(app: typer.Typer, before: str) -> Iterator[tuple[str, Any]]:
    for info in app.registered_commands:
        yield f"{before}{info.name}", info
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance, f"{before}{group.name} ")
