"""What a call comes to: the closed set of outcomes, and what the caller, the log and the report say of it.

Not here: deciding when a call has run too long (``pool.deadlines``).

Reading order: ``outcomes`` (the set), ``answers`` (a frame as an HTTP answer), ``header_policy`` and
``cookies`` (what a function may send), ``lost_calls`` and ``refusals`` (no answer of the function's),
``stack_dumps`` (where its code stood), ``platform_lines`` (the platform's words in the function's log),
``reports`` (one record a call).
"""
