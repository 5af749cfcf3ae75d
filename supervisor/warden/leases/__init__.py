"""Which front holds which cell, and in what order fronts get one.

Not here: making cells (``supply``, ``cells``), and what a front may say (``supervisor.link_messages``).

Reading order: ``desk`` (asks, returns, ends), ``front_sessions`` (a front as the desk knows it),
``lease_ceilings`` (what a function may have at most), ``accounts`` (places taken; pure), ``space_shares`` and
``fairness`` (whose turn it is), ``pipe_ends`` (what is lent), ``start_states`` (which functions import).
"""
