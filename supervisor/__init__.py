"""Cellblock's trusted side: command line, fronts, warden and store."""

__version__ = "0.7.0"
