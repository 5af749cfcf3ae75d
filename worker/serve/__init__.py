"""The worker's life after the import: calls, one after the other or as tasks of one loop, and their ends.

Not here: what a handler returned or raised (``answer``), and what it printed (``capture``).

Reading order: ``loop``, ``channel`` (whole frames), ``async_calls``, ``interrupts`` (a call's time is up),
``current_call`` and ``thread_owners`` (which call's code runs), ``limit_watch``, ``exit_hooks``.
"""
