"""Runtimes: the interpreters functions run on, each with an environment of libraries of its own.

The functions' environments are never the server's: their pins (SQLAlchemy 1.4 for ``orm``) would not
suit it, and a cell sees every file of its runtime.  ``interpreters`` finds, ``install`` makes,
``record`` remembers, ``commands`` is the command line.  Here is what a server needs of it.
"""

from supervisor.runtimes.runtime_record import RUNTIME_NAMES, Runtime, load_runtimes

__all__ = ["RUNTIME_NAMES", "Runtime", "load_runtimes"]
