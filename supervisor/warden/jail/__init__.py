"""What the kernel offers to separate processes, one kernel noun a file, and what of it this host allows.

Not here: the order in which a zygote or a front takes it (``launch.launcher``), and the lock-down inside a
cell (``worker.sandbox.lockdown``).

Reading order: ``probes`` (tries what the host allows), ``tiers`` (decides from that; pure), ``id_maps`` (the
user ids that there are), ``private_root`` (the root of zygotes and fronts) with ``device_nodes`` and
``host_names`` in it, ``cgroup_hierarchies`` (where groups can be made), ``cgroups`` (a leaf for each cell),
``cgroup_members`` (kills what is in one), ``freezer`` (stops it), ``metadata_routes`` (a BPF program on all
of them), ``_host_syscalls`` (the system calls under all this).
"""
