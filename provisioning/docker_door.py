"""How the Django side gets at the Docker client: imported late, because the SDK is slow to import and not always needed."""

from __future__ import annotations

from provisioning.live import LiveReader


def docker_reader() -> LiveReader:
    """The read-only part of this process's Docker client.

    Raises:
        ApplyError: Docker cannot be reached; the message tells the three reasons apart.
    """
    from provisioning.providers.swarm.client import connect

    return connect()
