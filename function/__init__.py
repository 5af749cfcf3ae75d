"""What a function can import from the platform: ``secrets``, ``variables``, ``context``, ``testing``.

>>> from function import variables
>>> variables.exists("region")
False
"""
