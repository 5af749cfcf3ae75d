"""From an instance's log pipes to records in the store of logs.

Not here: the segments on disk (``supervisor.logs``), and who reads them (``front.following``).

Reading order: ``log_pipes`` (both pipes of an instance), ``pipe_parser`` (bytes to lines and entries),
``masking`` (no secret is left in them), ``line_stamps`` (caps, and the call of each line), ``recorder``
(stamps the time; into the store, in batches), ``log_deletion`` (what is too old or too much).
"""
