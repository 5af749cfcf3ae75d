"""The keys that seal secrets and variables: which there are, their file, and how one replaces another.

Not here: how a value is sealed (``store.sealing``), and the keys of the API's callers (``store.tenants``).

Reading order: ``key_ring`` (one key, or two during a rotation), ``key_file`` (the ring on disk),
``resealing`` (values under a newer key, some at a time), ``rotation`` (the steps, any of which may be the
last).
"""
