"""A front's side of one cell: its ends of the pipes, its calls, and whose instance the cell is.

Not here: what the frames mean (``pool.instance``), and the log pipes (``front.logs``).

Reading order: ``init_frame`` (the first frame), ``pending_call`` (one call), ``outbox`` (bytes to the cell),
``inbox`` (frames from it, each hostile), ``instance_identity`` (whose instance it is).
"""
