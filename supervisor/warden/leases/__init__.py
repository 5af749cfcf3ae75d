"""Leases: which front holds which cell, and in what order fronts get one.

Not here: starting and ending cells (``supply``, ``cells``), and a front's end of its link
(``front.warden_link``).

Reading order: ``desk`` (takes requests, returns and ends), ``front_messages`` (all that a front may say),
``front_sessions`` (a front as the desk knows it), ``accounts`` (who has which cell; pure), ``space_shares``
and ``fairness`` (whose turn it is when cells are scarce), ``pipe_ends`` (the pipes that are lent),
``start_states`` (which functions import or cannot start).
"""
