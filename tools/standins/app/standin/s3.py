"""Signature version 4 of the S3 protocol: what a client writes and a server checks. Standard library only."""

from __future__ import annotations

import calendar
import hashlib
import hmac
import http.client
import re
import time
from collections.abc import Mapping
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
_CLOCK_SKEW_S = 900
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/,]+)/(\d{{8}})/([^/,]+)/s3/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{{64}})"
)


class Refused(Exception):  # noqa: N818 - it is what the server says
    """A request that is not let through; the text is S3's error code."""


def signature(
    secret: str, method: str, path: str, query: str, headers: Mapping[str, str], signed: list[str], scope: tuple[str, str], payload: str
) -> str:
    """The signature of a request.

    Args:
        path: as sent, percent-encoded.
        query: as sent.
        headers: by lower-case name; `x-amz-date` is among them.
        signed: names of the headers that are signed.
        scope: day and region.
        payload: hash of the body, as the header says it.
    """
    pairs = sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)
    lines = [method, path, "&".join(pairs), *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed), "", ";".join(signed)]
    day, region = scope
    whole = hashlib.sha256("\n".join([*lines, payload]).encode()).hexdigest()
    told = "\n".join([ALGORITHM, headers["x-amz-date"], f"{day}/{region}/s3/aws4_request", whole])
    key = f"AWS4{secret}".encode()
    for word in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return hmac.new(key, told.encode(), hashlib.sha256).hexdigest()


def signer(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, secrets: Mapping[str, str], now: float | None = None
) -> str:
    """Whose valid signature a request carries; empty for none.

    Raises:
        Refused: it carries one that is not valid.
    """
    if "authorization" not in headers:
        return ""
    found = _AUTHORIZATION.fullmatch(headers["authorization"])
    if found is None:
        raise Refused("AuthorizationHeaderMalformed")
    key, day, region, names, given = found.groups()
    if key not in secrets:
        raise Refused("InvalidAccessKeyId")
    payload = headers.get("x-amz-content-sha256", UNSIGNED)
    if payload != UNSIGNED and payload != hashlib.sha256(body).hexdigest():
        raise Refused("XAmzContentSHA256Mismatch")
    signed = names.split(";")
    if not {"host", "x-amz-date"} <= set(signed) or not headers.get("x-amz-date", "").startswith(day):
        raise Refused("AccessDenied")
    if abs(_seconds(headers["x-amz-date"]) - (time.time() if now is None else now)) > _CLOCK_SKEW_S:
        raise Refused("RequestTimeTooSkewed")
    expected = signature(secrets[key], method, path, query, headers, signed, (day, region), payload)
    if not hmac.compare_digest(expected, given):
        raise Refused("SignatureDoesNotMatch")
    return key


def request(
    address: str, key: str, secret: str, method: str, path: str, *, query: str = "", body: bytes = b"", timeout_s: float = 5.0
) -> tuple[int, bytes]:
    """One signed request; status 0 where nobody answers."""
    now, encoded = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), quote(path)
    headers = {"host": address, "x-amz-date": now, "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    signed = sorted(headers)
    made = signature(secret, method, encoded, query, headers, signed, (now[:8], "us-east-1"), headers["x-amz-content-sha256"])
    headers["authorization"] = (
        f"{ALGORITHM} Credential={key}/{now[:8]}/us-east-1/s3/aws4_request, SignedHeaders={';'.join(signed)}, Signature={made}"
    )
    try:
        connection = http.client.HTTPConnection(address, timeout=timeout_s)
        connection.request(method, f"{encoded}?{query}" if query else encoded, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""


def _seconds(amz_date: str) -> float:
    try:
        return float(calendar.timegm(time.strptime(amz_date, "%Y%m%dT%H%M%SZ")))
    except ValueError:
        raise Refused("AccessDenied") from None
