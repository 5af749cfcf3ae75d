"""The code of functions in the store: bundles in pieces, and their taking over from a folder.

Not here: how a bundle becomes pieces (``supervisor.bundles.packed_bundle``).

Reading order: ``bundle_queries`` (their statements), ``bundle_uploads`` (one bundle into the store),
``takeover`` (all that an older server kept in a folder).
"""
