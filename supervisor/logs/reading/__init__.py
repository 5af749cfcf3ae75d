"""Reading the functions' logs from disk: pages, and what comes after them.

Reading order: ``query``, ``cursor`` and ``batch`` (what is asked and given), ``merged_records`` (all writers
by time), ``reader`` (what there is), ``follower`` (what comes).
"""
