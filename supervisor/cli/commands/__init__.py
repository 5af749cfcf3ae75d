"""The commands of ``cellblock`` that ask a server, a module a noun.

Not here: ``cellblock serve`` (``cli.serving``) and ``cellblock runtimes`` (``supervisor.runtimes``).

Reading order: ``deploy_command`` and ``bundle_packing``, ``invoke_command``, ``function_commands``,
``value_commands``, ``log_commands``, ``activity_commands``, ``layers_command``, ``check_command``.
"""
