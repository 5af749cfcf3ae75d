"""Cellblock's trusted side: command line, fronts, warden and store."""

__version__ = "0.6.1"
