"""The worker's life after the import: it serves calls, one after the other or as tasks of one loop.

Not here: the import itself (``imports``), the meaning of what a handler returned or raised (``answer``),
what it printed (``capture``), and the process for each call of a ``fresh`` function (``fresh``).

Reading order: ``loop`` (from INIT to the end), ``channel`` (whole frames), ``served_function`` (a call
between its frame and its answer's), ``call_usage`` (what it used), ``sync_calls`` and ``async_calls``,
``interrupts`` (a call's time is up), ``current_call`` and ``thread_owners`` (which call the running code
belongs to), ``limit_watch`` (an instance has met a limit), ``exit_hooks`` (the end of the process).
"""
