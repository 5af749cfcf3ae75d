"""Who may do what: the caller that a credential stands for, and the scope that each route needs.

Not here: how a credential is recognised (``front.invoke``), and the rows of spaces, apps and keys
(``store.tenants``).

Reading order: ``principal`` (a recognised caller), ``route_scopes`` (what each route asks of one),
``quota_names`` (what a space may use).
"""
