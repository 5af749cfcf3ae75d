"""The rows of the fronts' counters, which the store gives to spaces with quotas."""

# Each takes 1.5 KiB a front once it is used (``front.quotas.counter_page``).
ROWS_MOST = 4096
