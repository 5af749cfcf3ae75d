"""Cellblock's trusted side: command line, fronts, warden and store."""

__version__ = "0.8.0"
