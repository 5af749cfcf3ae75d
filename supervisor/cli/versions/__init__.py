"""``cellblock versions``, ``rollback`` and ``aliases``: the versions of a function, and what they are called.

Not here: the deploy that makes one (``cli.commands.deploy_command``).

Reading order: ``version_commands``, ``alias_commands``.
"""
