"""What is deployed, as a front remembers it: looked up without a query, forgotten in time.

Not here: what is stored (``supervisor.store``), and who may change it (``front.api``).

Reading order: ``directory`` (the table), ``function_entry`` (one row of it, with its pool), ``space_values``
(secrets and variables), ``single_flight`` (one load of a key at a time), ``deployed_limits`` (limits under
today's ceilings), ``public_functions`` (what a caller without a credential may reach),
``suspended_functions`` (what answers no call).
"""
