"""The commands about what spaces may use, and what they used.

Not here: their functions and values (``cli.commands``).

Reading order: ``quota_commands``, ``usage_command``.
"""
