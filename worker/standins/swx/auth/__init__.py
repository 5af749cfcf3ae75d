"""Authentication; see ``swx.auth.token``."""
