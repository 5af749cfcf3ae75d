"""``/metrics``: what a front counts, and the text that Prometheus reads.

Not here: the sums over all fronts (``supervisor.warden.metrics``), and ``/activity`` (``telemetry.survey``).

Reading order: ``metric_table`` (every metric, its labels and what it means), ``call_metrics`` (counts at the
end of each call), ``front_numbers`` (what else a front tells), ``exposition`` (the text, pure), ``scrape``
(one request for it).
"""
