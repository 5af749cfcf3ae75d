"""The commands about what spaces may use, and what they used.

Not here: their functions and values (``cli.commands``, ``cli.values``), and what every command does alike
(``cli.parameters``, ``cli.commands.resources``).

Reading order: ``credential_commands`` (apps and keys), ``login_commands`` (login, logout, whoami),
``quota_commands``, ``usage_command``.
"""
