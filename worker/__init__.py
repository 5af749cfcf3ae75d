"""The part of Cellblock that runs in cells: Python 3.9 syntax, msgpack and werkzeug at most."""
