"""``cellblock serve``: from its command line to a running warden.

Not here: what the warden does (``supervisor.warden``), and the settings (``supervisor.settings``).

Reading order: ``serve_command`` (the options), ``plain_arguments`` (a quick reading of plain command lines),
``serve`` (settings, token, warden), ``welcome`` (a process that deploys the examples),
``notify`` (readiness for systemd).
"""
