"""The routes of credentials: apps and keys of a space, access tokens for apps, and who a caller is.

Not here: how a credential is recognised (``front.invoke.callers.credential``), what it may do (``tenancy``),
and its rows (``store.credentials``).

Reading order: ``credential_schemas`` (bodies), ``key_routes``, ``app_routes``, ``whoami_route``,
``client_form`` (what RFC 6749 says of a request), ``oauth_routes`` (its two answers).
"""
