"""What ``cellblock check`` does beside its audit: what a deploy and a call need is performed here.

Not here: the audit of the host (``supervisor.warden.audit``).

Reading order: ``check_command`` (all of it, and the printing), ``restrictions`` (what a unit or a container
forbids, and the directive to change), ``attempts`` (how each is found), ``trial`` (a server of its own
deploys a function and calls it), ``store_check`` (the database of ``store_url``).
"""
