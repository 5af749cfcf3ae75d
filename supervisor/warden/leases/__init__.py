"""Leases: which front holds which cell, and in what order fronts get one.

Not here: starting and ending cells (``supply``, ``cells``), what a front may say
(``supervisor.link_messages``), and its end of the link (``front.warden_link``).

Reading order: ``desk`` (takes requests, returns and ends), ``front_sessions`` (a front as the desk knows it),
``lease_ceilings`` (what a function may have at most), ``accounts`` (who has which cell; pure),
``space_shares`` and ``fairness`` (whose turn it is when cells are scarce), ``pipe_ends`` (the pipes that are
lent), ``start_states`` (which functions import or cannot start).
"""
