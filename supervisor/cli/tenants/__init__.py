"""The commands of tenants: their spaces, who may do what in one, who I am, and who changed what.

Not here: what a space may use and used (``cli.metering``), its functions and values (``cli.commands``,
``cli.values``), and what every command does alike (``cli.parameters``, ``cli.commands.resources``).

Reading order: ``space_commands``, ``space_names`` (completed from the server), ``credential_commands`` (apps
and keys), ``login_commands`` (login, logout, whoami), ``audit_command``.
"""
