"""The routes of the REST interface, a module a resource.

Not here: what is valid in a body (``api.schemas``), and who may enter (``api.gate``).

Reading order: ``space_routes``, ``function_routes``, ``version_routes``, ``value_routes``, ``log_routes``,
``audit_routes``, ``operator_routes``.
"""
