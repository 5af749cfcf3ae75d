"""From a blank worker to an imported handler, in a process that looks like ``python handler.py``.

Not here: the calls of the handler (``serve``).

Reading order: ``loader`` (finds and imports the entry point), ``signature`` (whether it can be called with a
request), ``namesakes`` (a bundle's module with the name of another one), ``interpreter`` (``sys.argv``,
``sys.flags`` and builtins), ``environment`` (a function's own variables), ``import_hooks`` (changes that
wait for a module's import), ``network_refusals`` (what Python says where there is no network),
``matplotlib_fonts``.
"""
