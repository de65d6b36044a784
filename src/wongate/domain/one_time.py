"""One-time codes of authenticator apps: TOTP by RFC 6238 with SHA-1, 6 digits and 30 seconds, which every app understands."""

import base64
import hmac
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
"""RFC 4226 asks for 128 bits and recommends 160, the size of SHA-1's output."""

DRIFT_STEPS = 1
"""Codes of the step before and after count too: phones are some seconds off, and people type slowly."""


def spelled(secret: bytes) -> str:
    """The secret as people type it into an app: base32."""
    return base64.b32encode(secret).decode().rstrip("=")


def step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_S


def code_of(secret: str, step: int) -> str:
    """The six digits for a step. `secret` in base32."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8), casefold=True)
    digest = hmac.digest(key, step.to_bytes(8), "sha1")
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def matching_step(secret: str, code: str, at: datetime) -> int | None:
    """The step whose code this is, at most one step from now, None when there is none. Compares in constant time."""
    digits = code.replace(" ", "")
    if len(digits) != DIGITS or not digits.isascii():
        return None
    now = step_of(at)
    steps = range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1)
    matches = [step for step in steps if hmac.compare_digest(code_of(secret, step), digits)]
    return matches[-1] if matches else None


def enrolment_uri(secret: str, login: str, issuer: str) -> str:
    """What an authenticator app reads from the square code."""
    label = quote(f"{issuer}:{login}", safe="")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer})}"
