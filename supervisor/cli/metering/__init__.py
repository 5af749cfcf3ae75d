"""The commands about what spaces may use, and what they used.

Not here: who may do what in a space (``cli.tenants``), its functions and values (``cli.commands``,
``cli.values``).

Reading order: ``quota_commands``, ``usage_command``.
"""
