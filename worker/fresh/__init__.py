"""Functions with ``fresh = true``: no state survives a call.

Not here: the calls themselves (``serve``).

Reading order: ``fork_server`` (the worker forks a process for each call, ahead of it), ``keeper`` (what pid 1
does between two calls), ``kept_descriptors`` (the open files that all calls share).
"""
