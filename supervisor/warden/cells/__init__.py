"""One cell as the warden holds it, from its making to its burial.

Not here: what happens inside (``worker.sandbox``), and how many there are (``supply``).

Reading order: ``cell_states`` (a table), ``held_cell`` (handles, words, end), ``confinement`` (what every
cell is made with), ``uid_pool``, ``code_mount``, ``cell_folders`` (where there are no namespaces),
``kill_boost`` (processor time while a large cell is killed).
"""
