"""Connections: from the bytes of a socket to requests, and from answers to bytes.

``connection`` speaks HTTP over llhttp, ``head`` says what a request's head may be, ``exchange`` is a request
to a function and ``cycle`` one to anything else, ``crowd`` bounds all of them together, ``stale`` ends those
that bring nothing, and ``worker`` is gunicorn's side of it.
"""
