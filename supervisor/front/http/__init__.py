"""Connections: bytes of a socket become requests, and answers become bytes.

Not here: what an invocation comes to (``invoke``), and the REST interface (``api``).

Reading order: ``worker`` (gunicorn's side), ``connection`` (HTTP by llhttp), ``message`` and
``request_head`` (one request's bytes), ``edge`` (what connections share), ``api_request`` (a request that is
no invocation), ``answer_head``; then ``connection_counts`` and ``connection_waits`` (bounds), and
``process_confinement`` (what a front's process gives up before its first connection).
"""
