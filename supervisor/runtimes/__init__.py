"""Runtimes: the interpreters that functions run on, each with libraries of its own.

The functions' libraries are never the server's: their pins (SQLAlchemy 1.4 for ``orm``) would not suit it,
and a cell sees every file of its runtime.

Not here: starting an interpreter (``warden.launch``), and the libraries that a zygote imports ahead
(``warden.supply.preload``).

Reading order: ``interpreters`` (finds them), ``runtime_record`` (what is installed), ``install`` (installs
the libraries of ``locks``), ``font_cache`` (matplotlib's fonts, made with them), ``runtime_commands``
(``cellblock setup`` and ``cellblock runtimes``).  A server needs only the names that are imported here.
"""

from supervisor.runtimes.runtime_record import RUNTIME_NAMES, Runtime, load_runtimes

__all__ = ["RUNTIME_NAMES", "Runtime", "load_runtimes"]
