"""What is deployed, as a front remembers it: looked up without a query, forgotten in time.

Not here: what is stored (``supervisor.store``), and who may change it (``front.api``).

Reading order: ``directory`` (the table), ``single_flight`` (one load of a thing at a time),
``deployed_limits`` (limits under today's ceilings), ``public_functions`` (what a stranger may reach).
"""
