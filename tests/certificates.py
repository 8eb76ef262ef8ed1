"""Certificate authorities and certificates for tests, made on the spot."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """Files: the root, a certificate it signed (its root behind it, as an organization brings it), and that one's key."""

    root: Path
    certificate: Path
    key: Path


def make_authority(
    folder: Path, names: Sequence[str], *, days: int = 90, title: str = "Test Authority", with_root: bool = True
) -> Authority:
    """A root, and one certificate for these names and addresses; with negative days one that has run out."""
    now = datetime.datetime.now(datetime.UTC)
    begin, end = now - datetime.timedelta(days=400), now + datetime.timedelta(days=days)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    usage = {"content_commitment": False, "key_encipherment": False, "data_encipherment": False, "key_agreement": False,
             "encipher_only": False, "decipher_only": False}  # fmt: skip
    root = (
        x509.CertificateBuilder(
            issuer, issuer, root_key.public_key(), x509.random_serial_number(), begin, now + datetime.timedelta(days=400)
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    leaf = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), begin, end)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    found = Authority(folder / f"{title}-root.pem", folder / f"{title}.pem", folder / f"{title}-key.pem")
    found.root.write_bytes(root.public_bytes(pem))
    found.certificate.write_bytes(leaf.public_bytes(pem) + (root.public_bytes(pem) if with_root else b""))
    found.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return found


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
