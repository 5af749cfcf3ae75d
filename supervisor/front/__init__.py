"""The fronts: trusted, unprivileged processes that speak HTTP with callers and frames with cells.

Not here: which cell a front gets (``supervisor.warden.leases``), and the restart of a front that ends
(``supervisor.warden.fronts``).

Reading order: ``server`` (gunicorn with our application), ``app`` (where a request goes), ``front_parts``
(what it is made of), ``health`` (``/healthz`` and ``/readyz``), ``readiness`` (what fails), ``lazy_api``
(imports the REST interface when it is needed), ``warden_link`` (leases, over a socket), ``api_control`` and
``warden_control`` (what the REST interface asks of pools and warden), ``metering`` (what is counted for
spaces); then the packages ``http`` (connections), ``invoke`` (one call), ``functions`` (what is deployed),
``pool`` (instances), ``outcome`` (what a call comes to), ``logs`` and ``following`` (logs in and out),
``quotas`` and ``usage``, ``telemetry``, ``api`` (the REST interface).
"""
