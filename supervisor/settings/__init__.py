"""The server's settings: declared once, read from several sources, told to fronts, read again at SIGHUP.

Not here: the options of a function (``supervisor.function_options``).

Reading order: ``declarations`` (each setting once), ``plain_sources`` (read without pydantic, for a quick
start), ``validated`` (every source, every type), ``front_settings`` (what a front is told), ``reloading``
(what may change while the server runs).
"""
