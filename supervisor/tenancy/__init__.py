"""Who may do what: the caller that a credential stands for, and the scope that each route needs.

Not here: how a credential is recognised (``front.invoke``), and the rows of spaces, apps and keys
(``store.tenants``, ``store.credentials``).

Reading order: ``scopes`` (the words), ``principal`` (a recognised caller), ``route_scopes`` (what each route
asks of one), ``permissions`` (what a caller is told), ``token_format`` (how a secret looks),
``quota_names`` (what a space may use).
"""
