"""The commands of tenants: who may do what in a space, what it may use, and what it used.

Not here: their functions and values (``cli.commands``, ``cli.values``), and what every command does alike
(``cli.parameters``, ``cli.commands.resources``).

Reading order: ``credential_commands`` (apps and keys), ``login_commands`` (login, logout, whoami),
``quota_commands``, ``usage_command``.
"""
