"""Writing the functions' logs to disk from one process.

Not here: making records of what functions write (``front.logs``).

Reading order: ``writer`` (a bounded buffer and its thread), ``backlog`` (one function's part of the buffer),
``segment_writer`` (one file: opened, checked, rotated, repaired).
"""
