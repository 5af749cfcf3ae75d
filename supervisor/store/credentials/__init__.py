"""Apps, keys and access tokens in the store: of each secret its digest, never the secret.

Not here: what a credential may do (``supervisor.tenancy``), and what a front remembers (``front.invoke``).

Reading order: ``credential_records`` (what comes out), ``credential_store`` (each change one transaction),
``key_queries`` and ``app_queries`` (their statements), ``credential_rows`` (what both share),
``credential_lookups`` (what a call asks).
"""
