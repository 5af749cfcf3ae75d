"""Blank cells ahead of demand, and the zygotes that they are cloned from.

Not here: what one cell is (``cells``), and how a zygote's process is made (``launch``).

Reading order: ``registry`` (all cells), ``roll`` (their slots), ``blank_target`` and ``recent_demand`` (how
many; pure), ``zygote_choice`` and ``preload`` (from which zygote), ``zygote_handle`` (one of them).
"""
