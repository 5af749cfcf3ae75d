"""From a blank worker to an imported handler, in a process that looks like ``python handler.py``.

Reading order: ``loader`` (finds and imports the entry point), ``namesakes`` (whose module a name is),
``signature`` (what can be called with a request), ``interpreter`` and ``environment`` (what plain Python
has), ``import_hooks``, ``network_refusals``, ``matplotlib_fonts``.
"""
