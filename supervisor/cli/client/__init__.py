"""The command line's side of HTTP: which server, with which token, and its answers within bounds.

Reading order: ``connection_config``, ``http_client``, ``log_feed`` (a stream that is begun again).
"""
