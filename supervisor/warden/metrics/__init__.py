"""What the warden keeps and counts for ``/metrics``: it outlives every front, so no number goes backwards.

Not here: what a front counts, what the numbers are called for people, and the text (``front.telemetry``).

Reading order: ``server_totals`` (pure), ``metric_rounds`` (what fronts and cells add to a scrape).
"""
