"""A stand-in for the original's ``swx`` package: the part that the 3.9 template page uses.

Written from the interface alone.  ``swx.auth.token.get_token`` requests an access token,
``swx.errors`` holds what can be raised.  The server is the environment variable ``SWX_API_URL``.
"""
