"""Cellblock's trusted side: command line, warden, fronts and store.

Not here: what runs inside a cell (``worker``), what an author imports (``function``), and the profiles of
seccomp.

Reading order: the packages ``cli`` (the command, and the start of a server), ``settings``, ``warden`` (owns
all processes), ``front`` (speaks HTTP), ``store`` (what is remembered), ``bundles`` (code), ``logs`` (of
functions), ``runtimes`` (interpreters and libraries).  Between them: ``datagrams`` (messages with descriptors
between our processes), ``function_options`` (what a function may name) and ``function_limits`` (the limits
that come of it), ``errors`` (every refusal has one form), ``server_log`` (the server's own log), ``domains``
(which hosts are one site), ``signals`` (names for how a process ended).
"""

__version__ = "0.8.0"
