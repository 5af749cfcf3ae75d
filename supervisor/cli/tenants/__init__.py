"""The commands of tenants: who may do what in a space, and who I am.

Not here: what a space may use and used (``cli.metering``), its functions and values (``cli.commands``,
``cli.values``), and what every command does alike (``cli.parameters``, ``cli.commands.resources``).

Reading order: ``credential_commands`` (apps and keys), ``login_commands`` (login, logout, whoami).
"""
