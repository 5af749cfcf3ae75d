"""Limits of memory and open files: how much cells use, and what is done about a cell that uses too much.

Not here: the cgroups themselves (``jail.cgroups``), the limits of all cells together
(``supervisor.warden.startup.resource_budget``), and the words that a caller reads (``front.outcome``).

Reading order: ``cell_memory_policy`` (decides for one cell; pure), ``memory_guard`` (looks at cells and
acts), ``memory_meters`` (reads the counters of a cgroup), ``process_memory`` (reads each process where no
cgroup counts), ``counter_check`` (compares the two), ``open_files`` (acts when the host is short of open
files).
"""
