"""Sealing of secret values: AES-GCM under a key per organization, derived from a master key that lives outside the database.

The only importer of `cryptography`. Knows no database; the store of sealed values is secret_store.py.
"""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from provisioning.fingerprints import fingerprint_of
from sprocket_v2.errors import SetupError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"\x01"


class Sealer:
    """Seals, opens and fingerprints values.

    Args:
        master: 32 random bytes. Whoever has them and the database has every secret.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY_BYTES:
            raise SetupError(
                f"the master key has {len(master)} bytes, it needs {_KEY_BYTES}", hint="restore the key file from its safe copy"
            )
        self._master = master

    def seal(self, org: str, name: str, version: int, value: str) -> bytes:
        """The sealed value; it opens only for the same organization, name and version."""
        nonce = os.urandom(_NONCE_BYTES)
        key = AESGCM(self._key(org, "seal"))
        return _FORMAT + nonce + key.encrypt(nonce, value.encode(), _bound_to(org, name, version))

    def open(self, org: str, name: str, version: int, sealed: bytes | memoryview) -> str:
        """The value again.

        Raises:
            SetupError: another master key sealed it, or the row was moved or changed.
        """
        data = bytes(sealed)
        nonce, text = data[1 : 1 + _NONCE_BYTES], data[1 + _NONCE_BYTES :]
        try:
            if data[:1] != _FORMAT:
                raise InvalidTag
            return AESGCM(self._key(org, "seal")).decrypt(nonce, text, _bound_to(org, name, version)).decode()
        except (InvalidTag, ValueError):
            raise SetupError(
                f"{org}/{name}@{version} cannot be opened",
                hint="another master key sealed it, or the row was changed: restore the key file that belongs to this database",
                where="secret store",
            ) from None

    def fingerprint(self, org: str, name: str, value: str) -> str:
        """Keyed HMAC (hex): tells whether a value changed, and is useless without the master key."""
        return fingerprint_of(self.fingerprint_key(org), name, value)

    def fingerprint_key(self, org: str) -> bytes:
        """The key of these fingerprints, for the run that compares what a secret server holds."""
        return self._key(org, "fingerprint")

    def withhold_key(self, org: str) -> bytes:
        """The key by which values of an imported estate are told apart without being kept."""
        return self._key(org, "withhold")

    def _key(self, org: str, use: str) -> bytes:
        info = f"sprocket/{use}/{org}".encode()
        return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(self._master)


def _bound_to(org: str, name: str, version: int) -> bytes:
    return f"{org}|{name}|{version}".encode()


def read_master_key(path: Path) -> bytes:
    """The master key of a file made by `make_master_key`.

    Raises:
        SetupError: missing, readable by others, or not a key.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise SetupError(
            "the master key is missing", hint="restore the file from its safe copy; without it no stored secret opens", where=str(path)
        ) from None
    except (OSError, UnicodeDecodeError):
        raise SetupError("the master key cannot be read", hint="let the control plane's user own the file", where=str(path)) from None
    if stat.S_IMODE(mode) & 0o077:
        raise SetupError("the master key can be read by others", hint=f"chmod 600 {path}", where=str(path))
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise SetupError("the file holds no master key", hint="restore the file from its safe copy", where=str(path))
    return key


def make_master_key(path: Path) -> bool:
    """Create the key file (0600, in a folder 0700) unless it is there; True when it is new."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(base64.b64encode(os.urandom(_KEY_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # fails when another process was first: its key counts
    except FileExistsError:
        return False
    finally:
        part.unlink()
    return True
