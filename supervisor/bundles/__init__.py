"""Bundles, the code of functions: unpacked within bounds, and kept in folders named by their content.

Not here: deploying a bundle (``front.api.deploys``), deleting unused ones (``front.api.bundle_deletion``),
and mounting one in a cell (``warden.cells.code_mount``).

Reading order: ``archives`` (hostile bytes become files), ``unpacking_limits`` (what all forms keep to),
``tar_reader`` and ``zip_reader`` (each checks before a library reads), ``packed_bundle`` (files become pieces
for the store), ``bundle_store`` (content-addressed folders, a cache of the store), ``whole_mark`` (how one is
whole), ``imported_names`` (what a bundle imports, as a hint), ``shadows`` (names that hide other modules).
"""
