"""The command line's side of HTTP: which server, with which token, and its answers within bounds.

Not here: what the commands ask (``cli.commands``).

Reading order: ``connection_config`` (server, token and space), ``stored_logins`` (what login keeps),
``http_client`` (requests and answers),
``log_feed`` (a stream of log events that is taken up again when it breaks).
"""
