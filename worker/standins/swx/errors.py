"""What ``swx`` raises."""

import json
from typing import Any, Dict, Optional


class APIException(Exception):
    """Anything that goes wrong between this package and the API."""


class ResponseError(APIException):
    """The API answered with an error: HTTP status, message and, where it gave any, details."""

    def __init__(self, status_code: int, message: str, details: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(f"{status_code}: {message}")
        self.status_code = status_code
        self.message = message
        self.details = details or {}

    def json(self) -> Dict[str, Any]:
        """The error in the API's own form."""
        return {"error": {"status": self.status_code, "message": self.message, "details": self.details}}

    @classmethod
    def parse(cls, status_code: int, body: bytes) -> "ResponseError":
        """The error that an answer describes, in the API's form, in OAuth 2's or as any text."""
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            sent = None
        error = sent.get("error") if isinstance(sent, dict) else None
        if isinstance(error, dict):
            details = error.get("details")
            message = str(error.get("message") or "no message")
            return cls(status_code, message, details if isinstance(details, dict) else None)
        if isinstance(error, str):
            description = sent.get("error_description")
            return cls(status_code, f"{error}: {description}" if description else error, sent)
        return cls(status_code, body[:200].decode("utf-8", "replace") or "no message")


class OAuth2Error(ResponseError):
    """No token was given."""


class TokenRevokeError(OAuth2Error):
    """A token could not be revoked."""
