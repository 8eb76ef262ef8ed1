"""How the Django side gets at the Docker client: imported late, because the SDK is slow to import and not always needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from blueprints.estate.model import Estate
from provisioning.live import LiveReader
from sprocket_v2.errors import SprocketError

if TYPE_CHECKING:
    from provisioning.providers.swarm.client import DockerSwarm


def docker_reader() -> LiveReader:
    """The read-only part of this process's Docker client.

    Raises:
        ApplyError: Docker cannot be reached; the message tells the three reasons apart.
    """
    return _connect()


def docker_hands() -> DockerSwarm:
    """The whole of this process's Docker client, for what also changes things: copies, and services that stop and start.

    Raises:
        ApplyError: as `docker_reader`.
    """
    return cast("DockerSwarm", _connect())


def _connect() -> LiveReader:
    from provisioning.providers.swarm.client import connect

    return connect()


def estate_of_engine(address: str, slug: str) -> Estate:
    """What runs on a swarm, as an organization would import it. Changes nothing.

    Args:
        address: as DOCKER_HOST; empty for this machine's engine.
    Raises:
        ApplyError: as `docker_reader`.
    """
    from provisioning.importing.live import read_live
    from provisioning.providers.swarm.client import connect
    from provisioning.secret_store import withhold_key

    return read_live(connect(address), withhold_key(slug), address or "live", mine={slug}).estate


def local_image_ids(references: list[str]) -> dict[str, str]:
    """Image reference -> id, of those that are on this machine; nothing where Docker cannot be reached."""
    try:
        reader = docker_reader()
        found = {reference: reader.local_image_id(reference) for reference in references}
    except SprocketError:
        return {}
    return {reference: image_id for reference, image_id in found.items() if image_id}
