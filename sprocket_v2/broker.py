"""The embedded broker: Celery messages as files in the data folder, on one machine, without a server.

kombu's own file transport creates a message file and then writes it, so that a reader can take an empty one. Here a message is
written under another name and renamed. Losing a message is harmless anyway: the run's row is the truth and the reconciler re-sends.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

ALIAS = "sprocketfiles"  # the scheme of a broker address is lower-cased, so a dotted class in it would not be found
_SWEEP_AFTER_S = 3600.0


class Channel(filesystem.Channel):
    """kombu's file channel, with whole messages only."""

    def _put(self, queue: str, payload: dict[str, Any], **_: object) -> None:  # type: ignore[override]  # kombu's bases disagree
        folder = Path(self.data_folder_out)
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        part = folder / f".{name}.part"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(dumps(payload).encode())
            part.rename(folder / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ChannelError(f"cannot add a message to {folder}: {error.strerror}") from error


class Transport(filesystem.Transport):
    """kombu's file transport over our channel."""

    Channel = Channel


def register() -> None:
    """Make `sprocketfiles://` known to kombu."""
    TRANSPORT_ALIASES[ALIAS] = f"{__name__}:Transport"


def embedded_options(data_dir: Path) -> dict[str, Any]:
    """Transport options of the embedded broker; makes its folders (0700) and sweeps what was processed long ago."""
    folders = {name: data_dir / "broker" / name for name in ("in", "processed", "control")}
    for folder in (data_dir / "broker", *folders.values()):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    _sweep(folders["processed"])
    return {
        "data_folder_in": str(folders["in"]),
        "data_folder_out": str(folders["in"]),
        "processed_folder": str(folders["processed"]),
        "control_folder": str(folders["control"]),
        "store_processed": True,
        "polling_interval": 0.1,
    }


def _sweep(folder: Path) -> None:
    """Remove messages processed over an hour ago."""
    limit = time.time() - _SWEEP_AFTER_S
    for entry in os.scandir(folder):
        try:
            if entry.stat().st_mtime < limit:
                Path(entry.path).unlink()
        except FileNotFoundError:
            continue  # another process sweeps too
