"""Commands for those who keep several tenants on one server: spaces and the audit.

Not here: what belongs to one space's functions (``cli.commands``).

Reading order: ``space_commands``, ``audit_command``, ``space_names`` (completed from the server).
"""
