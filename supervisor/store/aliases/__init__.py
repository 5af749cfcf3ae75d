"""The names of versions: labels, which are read, and aliases, which are called.

Not here: which version serves a call of an alias (``front.functions.traffic``), and what may be a name
(``front.api.alias_schemas``).

Reading order: ``alias_store`` (each question and change one transaction), ``alias_queries`` and
``label_queries`` (their statements).
"""
