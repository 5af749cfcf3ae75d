"""Reading the functions' logs from disk: the records that are there, and those that come.

Not here: which readers there are and what form they get (``front.following``).

Reading order: ``query``, ``cursor`` and ``batch`` (question, position and result), ``merged_records`` (all
writers by time), ``reader`` (the records that are there), ``follower`` (those that come).
"""
