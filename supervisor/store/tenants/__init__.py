"""What the store knows of tenants: their spaces, quotas and usage, and who changed what.

Not here: what a tenant may do (``supervisor.tenancy``), and functions and values themselves.

Reading order: ``audit_queries``; ``quota_queries``, ``quota_store`` (a transaction each), ``counter_rows``;
``usage_queries`` and ``usage_store``, ``usage_batch`` (what fronts add), ``plain_writes`` (how).
"""
