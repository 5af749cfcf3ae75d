"""What the store knows of tenants: their spaces, credentials, quotas and usage, and who changed what.

Not here: what a tenant may do (``supervisor.tenancy``), and functions and values themselves.

Reading order: ``space_queries`` (what every change in a space asks first), ``space_store``,
``audit_queries`` (the line of every change), ``audit_store``.
"""
