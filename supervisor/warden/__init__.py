"""The warden: the process that owns all others. It makes cells, ties them to functions, kills and reaps them.

It reads no byte that came over the network, and imports nothing of ``supervisor.front``.

Not here: what a front does with a leased cell (``front.pool``), and what runs inside a cell (``worker``).

Reading order: ``warden`` (start, readiness, drain, end), ``fronts`` (keeps gunicorn running), ``processes``
(starts and reaps children); then the packages ``startup`` (what comes before serving), ``leases`` (who holds
which cell), ``supply`` (blank cells and zygotes), ``cells`` (one cell), ``memory`` (its limits of memory),
``jail`` (what the kernel offers), ``launch`` (how zygotes and gunicorn are started), ``metrics`` (sums over
all fronts).  On the side: ``reload`` (SIGHUP), ``admin_token`` and ``token_rotation`` (who the administrator
is), ``change_rounds`` and ``survey_rounds`` (what all fronts have to hear or to tell), ``all_steps`` (ends
that skip nothing), ``audit`` (``cellblock check``).
"""
