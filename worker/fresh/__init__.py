"""Functions with ``fresh``: no state survives a call.

Reading order: ``fork_server`` (a process for each call, forked ahead), ``keeper`` (pid 1 between two calls),
``kept_descriptors`` (what all calls have of the kernel's).
"""
