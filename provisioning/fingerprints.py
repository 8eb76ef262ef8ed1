"""The keyed fingerprint of a secret's value: tells whether it changed, and is useless without the key. Pure."""

from __future__ import annotations

import hashlib
import hmac


def fingerprint_of(key: bytes, name: str, value: str) -> str:
    """HMAC-SHA256 (hex) of a value under its secret's name."""
    return hmac.new(key, name.encode() + b"\0" + value.encode(), hashlib.sha256).hexdigest()
