"""What a cell does before any tenant's code runs: the lock-down, and the proof that it holds.

Not here: the processes that run the steps (``cell_process``), and what the warden does outside the cell
(``supervisor.warden.jail``).

Reading order: ``lockdown`` (the steps in their order), ``lockdown_state`` (what they work on), ``rlimits``
(limits of a process), ``landlock`` (rights on files), ``host_files`` (the host's files about names),
``bare_lockdown`` (the steps without namespaces), ``selftest`` (calls that must fail), ``warmup`` (what a
blank worker runs ahead of its first call), ``places`` (where the function's code is).
"""
