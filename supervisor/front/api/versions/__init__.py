"""Versions as callers of the API name and guard them: labels, aliases, entity tags and ``If-Match``.

Not here: the deploy that makes a version (``api.deploys``), and the routes (``api.routes``).

Reading order: ``version_names`` (what may be a name), ``alias_schemas`` (bodies), ``preconditions``
(``If-Match``), ``alias_changes`` (what a change of an alias or a label does), ``called_versions`` (what
``NAME@ALIAS`` in a path stands for).
"""
