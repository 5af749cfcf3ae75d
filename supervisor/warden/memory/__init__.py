"""The memory of cells: what they touched, what their limits allow, and what is done above them.

Not here: the groups themselves (``jail.cgroups``).

Reading order: ``memory_policy`` (pure), ``memory_guard`` (looks and acts), ``memory_meters`` (what cgroups
count), ``process_memory`` (what psutil counts where none does), ``counter_check`` (one against the other),
``open_files``, ``host_budget`` (what all cells together may take).
"""
