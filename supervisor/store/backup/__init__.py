"""Backups: a whole store in one file, and a data directory made of one.

Not here: the commands (``supervisor.cli.commands.backup_commands``).

Reading order: ``backup_file`` (what a file looks like), ``sealed_key`` (the sealing key under a passphrase),
``backing_up`` (a store becomes a file), ``restoring`` (a file becomes a data directory).
"""
