"""What the store knows of tenants: their spaces, quotas and usage, and who changed what.

Not here: what a tenant may do (``supervisor.tenancy``), and functions and values themselves.

Reading order: ``audit_queries``.
"""
