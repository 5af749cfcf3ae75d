"""Writing the functions' logs to disk from one process.

Reading order: ``writer`` (a bounded buffer and its thread), ``backlog`` (one function's part of it),
``segment_writer`` (one file: opened, checked, rotated, mended).
"""
