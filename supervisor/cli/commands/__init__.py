"""The commands of ``cellblock``, a module a noun: most ask a server.

``backup`` and ``restore`` work on a data directory.

Not here: ``cellblock serve`` (``cli.serving``), ``cellblock check`` (``cli.checking``), ``cellblock top``
(``cli.watching``) ``cellblock runtimes`` (``supervisor.runtimes``), and
``secrets``, ``variables`` and ``keys`` (``cli.values``).

Reading order: ``deploy_command``, ``bundle_packing`` and ``deploy_wishes`` (what it sends and what
it changed), ``invoke_command``,
``function_commands``, ``resources`` (what commands of resources do alike), ``log_commands``,
``activity_commands``, ``layers_command``, ``token_command``, ``backup_commands``.
"""
