"""What calls took, gathered in a front and written to the store every few seconds.

Not here: the rows of the store (``store.tenants.usage_batch``), and what one call took (``outcome.reports``).

Reading order: ``usage_book`` (what is gathered), ``usage_flush`` (when it is written, and what is deleted).
"""
