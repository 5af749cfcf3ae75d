"""Launches zygotes and gunicorn: processes of ours that get a root and a user of their own.

Not here: the mounts of the root (``jail.private_root``), restarts of gunicorn (``warden.fronts``), and which
zygotes there are (``supply``).

Reading order: ``launcher`` (the ordered STEPS), ``zygote_launch`` (a zygote's command line),
``front_standby`` (a process that imports first and is told later what to become), ``zygote_standby``
(likewise for the first zygote), ``zygote_prestart`` (starts that one early), ``standby_messages`` (how both
are told).
"""
