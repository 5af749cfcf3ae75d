"""The code of functions: what is uploaded, unpacked within bounds, and kept by its content.

Not here: deploying (``front.api.deploys``), and mounting it in a cell (``warden.cells.code_mount``).

Reading order: ``archives`` (hostile bytes to files), ``bundle_store`` (content-addressed folders),
``imported_names`` (what a bundle imports, as a hint), ``shadows`` (names that hide other modules).
"""
