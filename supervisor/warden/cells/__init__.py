"""One cell as the warden holds it, from its start until it has been reaped.

Not here: what happens inside a cell (``worker.sandbox``), and how many cells there are (``supply``).

Reading order: ``cell_states`` (its life as a table), ``held_cell`` (its handles and messages),
``confinement`` (what every cell is made with), ``uid_pool`` (user ids), ``code_mount`` (a function's code),
``bare_cell_folders`` (scratch space where there are no namespaces), ``kill_boost`` (processor time while a
large cell is killed).
"""
