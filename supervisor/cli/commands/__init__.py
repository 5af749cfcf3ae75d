"""The commands of ``cellblock``, a module a noun: most ask a server, ``check`` audits this host.

``backup`` and ``restore`` work on a data directory.

Not here: ``cellblock serve`` (``cli.serving``) and ``cellblock runtimes`` (``supervisor.runtimes``).

Reading order: ``deploy_command`` and ``bundle_packing`` (what it sends), ``invoke_command``,
``function_commands``, ``value_commands``, ``resources`` (what both do alike), ``log_commands``,
``activity_commands``, ``layers_command``, ``check_command``, ``backup_commands``.
"""
