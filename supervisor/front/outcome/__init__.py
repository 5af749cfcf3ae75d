"""What a call comes to: the closed set of outcomes, and what the caller, the log and the report say of it.

Not here: deciding when a call has run too long (``pool.deadlines``).

Reading order: ``outcomes`` (the set), ``answers`` (a frame as an HTTP answer), ``header_policy`` and
``cookies`` (what a function may send), ``browser_headers`` and ``cors`` (what browsers are told),
``lost_calls`` and ``refusals`` (answers of the platform), ``stack_dumps`` (where a call's code stood),
``platform_lines`` (the platform's lines in the function's log), ``reports`` (one record a call).
"""
