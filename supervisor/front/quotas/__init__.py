"""The quotas of spaces where calls and log lines spend them, over all fronts of this server.

Not here: the quotas of functions, versions and code, which a deploy spends in its transaction
(``store.tenants.quota_queries``), and what a space has used (``front.usage``).

Reading order: ``counter_page`` (the memory that fronts share), ``rolling_sum`` (what was spent lately),
``space_quota`` (one space's quotas, and taking from them), ``quota_table`` (all that a front knows),
``log_quota`` (log lines), ``spent_before`` (before this server's start).
"""
