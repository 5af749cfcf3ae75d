"""What a front tells of its calls: counts for operators, records and spans for collectors.

Not here: the functions' own logs (``front.logs``).

Reading order: ``call_counters`` (this front's), ``survey`` (all fronts' put together), ``forwarding`` (JSON
on stderr, or a collector), ``otlp_exporter`` (batches over HTTP), ``otlp_encoding`` and ``spans`` (pure),
``request_log`` (a line for each request) and ``request_files`` (where it goes); then the package ``metrics``.
"""
