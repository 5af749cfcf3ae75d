"""From an instance's log pipe to a record in the store of logs.

Not here: the segments on disk (``supervisor.logs``), and whoever reads them (``front.following``).

Reading order: ``log_pipes`` (both pipes of an instance), ``pipe_parser`` (bytes to lines and entries),
``line_stamps`` (time, call and level; the one place that stamps), ``recorder`` (into the store, in batches),
``log_deletion`` (what is too old or too much).
"""
