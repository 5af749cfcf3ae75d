"""The instances of a function's version in this front: how many, for which call, for how long.

Not here: the warden's side of a lease (``supervisor.warden.leases``).

Reading order: ``pool`` (queue and instances), ``instance`` (one leased cell: frames, clock, end), its pipes
in ``cell``, ``deadlines`` (a call whose time is up), ``fresh_instance`` (no state survives a call); then the
decisions, which are pure: ``growth``, ``import_waits``, ``circuit`` and ``failed_starts``, ``recycling``,
``limits_met``, ``eviction``; ``lease_request`` is what the warden is asked for.
"""
