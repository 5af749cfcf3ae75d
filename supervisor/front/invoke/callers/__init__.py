"""Who calls: credentials as a front remembers them, wrong ones, and the caller's address behind proxies.

Not here: what a caller may do (``supervisor.tenancy``), and the rows of credentials
(``store.credentials``).

Reading order: ``credential`` (from a header to a principal), ``known_tokens``, ``token_lookups`` and
``credential_watch`` (what is remembered of spaces' credentials), ``wrong_tokens`` (guesses are slowed),
``caller_address`` (behind which proxy).
"""
