"""The system calls that each kind of process may make: profiles as data, and their compiler.

``cell.json`` and its variants are for tenants' cells, ``front.json`` is for the HTTP processes,
``container.json`` for a container around the whole server.  Not here: how a cell installs its filter
(``worker.sandbox.lockdown``), for no cell sees this package.

Reading order: ``tables`` (names and numbers of system calls), ``profile`` (reads and checks the JSON),
``compiler`` (turns rules into classic BPF), ``install`` (puts a front under its filter).
"""
