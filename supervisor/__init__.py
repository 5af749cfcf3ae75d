"""Cellblock's trusted side: command line, warden, fronts and store.

Not here: what runs in cells (``worker``), what functions import (``function``), and the compiler of system
call filters (``seccomp``).

Reading order: ``cli`` (the commands), ``settings``, ``warden`` (processes and cells), ``front`` (HTTP and
calls), ``store``, ``bundles``, ``logs``, ``runtimes``.  What they share: ``function_limits`` and
``function_options`` (a function's options), ``domains`` (origins), ``datagrams`` (messages between our
processes), ``link_messages`` with ``link_records``, ``join_messages`` and ``front_start`` (what they say),
``errors``, ``near_names`` (what a mistyped name may have meant), ``server_log``, ``signals``.
"""

__version__ = "0.10.0"
