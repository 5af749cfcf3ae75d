"""``cellblock serve``: from its command line to a running warden.

Reading order: ``serve_command`` (the options), ``plain_arguments`` (a quick reading of the usual ones),
``serve`` (settings, token, warden), ``welcome`` (what deploys the examples).
"""
