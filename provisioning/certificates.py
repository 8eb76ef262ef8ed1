"""Looks at certificates an organization brought, before anything is deployed with them. Values stay in memory."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from provisioning.asking import certificate_parts
from sprocket_v2.errors import ApplyError

_SOON_DAYS = 2


def refuse_wrong_pairs(ways: list[Mapping[str, Any]], values: Mapping[str, str]) -> None:
    """Refuse a brought certificate that could not serve its way.

    Args:
        ways: `access.ways` of blueprint.json.
        values: secret name -> value.
    Raises:
        ApplyError: key and certificate are no pair, it is for another name, it has run out, or its authority is not in it.
    """
    for way in ways:
        if way.get("certificate") != "own":
            continue
        name = f"{way['way']}-certificate"
        problem = problem_with_pair(values[name], values[f"{name}-key"], str(way["host"]))
        if problem:
            raise ApplyError(
                f"{name}: {problem}", hint=f"bring another: sprocket secret set ORG {name} --fd 0 < FILE", where=f"secret {name}"
            )


def problem_with_pair(certificate: str, key: str, host: str) -> str:
    """Why this pair cannot serve a host; empty when it can. It is tried: a handshake in memory, as a browser and the site would do it."""
    if not hasattr(os, "memfd_create"):
        return ""  # not Linux: the library reads keys from files only, and a key belongs on no disk; the probe after the apply finds it out
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with _in_memory(certificate) as certificate_file, _in_memory(key) as key_file:
            server.load_cert_chain(certificate_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "it does not belong to the key that was brought with it"
        return f"certificate or key cannot be read ({error.reason or 'not PEM'})"
    leaf = ssl.PEM_cert_to_DER_cert(certificate[: certificate.index("-----END") + 25].strip() + "\n")
    refused, parsed = _handshake(server, host, leaf, check_hostname=False)
    if refused:
        return f"it is refused: {refused}"
    _, names, expires = certificate_parts(parsed)
    if expires - time.time() < _SOON_DAYS * 86400:
        return f"it runs out within {_SOON_DAYS} days"
    if _handshake(server, host, leaf, check_hostname=True)[0]:
        return f"it is for {', '.join(names) or 'no name'}, and this way in is {host}"
    if _handshake(server, host, certificate, check_hostname=True)[0]:
        return "its authority is not in the file: the site's own calls to the API would refuse it; add the authority's certificates, the root last"
    return ""


def _handshake(server: ssl.SSLContext, host: str, trusted: bytes | str, *, check_hostname: bool) -> tuple[str, Mapping[str, Any]]:
    """What a client says that trusts this alone (bytes) or with what stands behind it (text): an error, or the parsed certificate."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = check_hostname
    if isinstance(trusted, bytes):
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=trusted)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=host)
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(6):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message, {}
            except ssl.SSLError as error:
                return str(error.reason), {}
    return "", ours.getpeercert() or {}


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """A path to read a value from that is on no disk."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, text.encode() + b"\n")
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
