"""Starts blank cells ahead of demand, and keeps the zygotes that they are cloned from.

Not here: what one cell is (``cells``), and how a zygote's process is launched (``launch``).

Reading order: ``registry`` (all cells, and who waits for one), ``roll`` (the list of cells with their user
ids), ``blank_target`` (how many cells to start now; pure), ``recent_demand`` (how many blank ones to keep;
pure), ``zygote_choice`` (which zygotes there are), ``preload`` (what each has imported; pure),
``zygote_handle`` (one zygote).
"""
