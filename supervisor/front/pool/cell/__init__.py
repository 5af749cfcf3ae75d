"""What a front holds of one cell: the two ends of its pipes, its calls, and whose instance it is.

Not here: what the frames mean (``pool.instance``), and the log pipes (``front.logs``).

Reading order: ``pending_call`` (one call), ``outbox`` (bytes to the cell), ``inbox`` (frames from it, each
hostile), ``instance_identity``.
"""
