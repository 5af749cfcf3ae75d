"""What a server looks at and prepares before it serves.

Not here: the host's layers (``warden.jail.probes``), and the processes that are started early
(``warden.launch``).

Reading order: ``start_check`` (whether it may start on this host), ``resource_budget`` (the limits of all
cells together), ``descriptor_limit`` (its own open files), ``data_dir`` (its lock and its folders).
"""
