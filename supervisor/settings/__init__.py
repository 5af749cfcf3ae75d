"""The server's settings: declared once, read from several sources, told to the fronts, read again at SIGHUP.

Not here: the options of a function (``supervisor.function_limits``), and the command line's own settings
(``supervisor.cli.client.connection_config``).

Reading order: ``shared_settings`` and ``declarations`` (each setting once), ``plain_sources`` (the quick
reading, without pydantic), ``validated`` (every source, every type, every refusal), ``front_settings`` (what
a front is told), ``declared_bounds`` (how it checks that), ``reloading`` (what SIGHUP changes).
"""
