"""What each kind of process may ask of the kernel: profiles as data, and their compiler.

``cell.json`` and its variants for tenants' cells, ``front.json`` for the HTTP processes, ``container.json``
for a container around the whole server.  Files in reading order: ``tables`` (names and numbers),
``profile`` (reads and checks the JSON), ``compiler`` (rules to classic BPF), ``install``.
"""
