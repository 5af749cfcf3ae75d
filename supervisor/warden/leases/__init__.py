"""Which front holds which cell, and in what order fronts get one.

Not here: making cells (``supply``, ``cells``).

Reading order: ``desk`` (asks, returns, ends), ``front_messages`` (all that a front may say),
``front_sessions`` (a front as the desk knows it), ``accounts`` (places taken; pure), ``space_shares`` and
``fairness`` (whose turn it is), ``pipe_ends`` (what is lent), ``start_states`` (which functions import).
"""
