"""How a zygote and a front come to be: processes of ours in a root of their own.

Not here: the root's mounts (``jail.private_root``), and gunicorn's life (``warden.fronts``).

Reading order: ``launcher`` (the ordered STEPS), ``zygote_launch`` (a zygote's command line),
``front_standby`` (imports first, and is told later what to become), ``zygote_standby`` and
``zygote_prestart`` (the same for the first zygote), ``standby_messages`` (how both are told).
"""
