"""The commands for secrets and variables, and for the key that seals them.

Not here: what all commands of resources do alike (``cli.commands.resources``).

Reading order: ``value_commands`` (``secrets`` and ``variables``), ``rotation_command`` (``keys rotate``).
"""
