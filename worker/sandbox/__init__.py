"""What a cell does before any code of a tenant: the lock-down, and the proof that it holds.

Not here: the life of pid 1 (``cell_process``).

Reading order: ``lockdown`` (the ordered steps), ``lockdown_state`` (what they work on), ``rlimits``,
``landlock``, ``bare_lockdown`` (without namespaces), ``selftest`` (what must fail), ``host_files``,
``warmup`` (a blank worker's rehearsal), ``places``.
"""
