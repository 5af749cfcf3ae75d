"""One function version's instances in this front: how many run, which call each takes, when each ends.

Not here: the warden's side of a lease (``supervisor.warden.leases``).

Reading order: ``pool`` (the queue and the instances), ``lease_request`` (what the warden is asked for),
``instance`` (one leased cell: frames, clock, end) with its pipes in ``cell``, ``deadlines`` (what
happens to a call past its limit), ``fresh_instance`` (no state survives a call); then the decisions, which
are pure or nearly so: ``growth``, ``import_waits``, ``circuit`` and ``failed_starts``, ``recycling``,
``limits_met``, ``eviction`` (of idle instances, and when cells are scarce).
"""
