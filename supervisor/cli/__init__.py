"""The command line ``cellblock``: a client of the server's REST interface, and the way to start a server.

Not here: what ``serve`` starts (``supervisor.warden``), and how ``runtimes`` installs
(``supervisor.runtimes``).

Reading order: ``__main__`` (the program), ``main`` (the commands), ``exits`` and ``command_errors`` (how a
command ends), ``parameters`` (options that commands share), ``arguments`` (from text to values),
``command_scopes`` (what a command's credential needs), ``client`` (talking to a server), ``commands`` (a
module a noun), ``tenants`` (apps, keys, login), ``serving`` (``cellblock serve``), ``output`` (tables and
JSON), ``log_view`` (log entries on a terminal), ``watching`` (``cellblock top``).
"""
