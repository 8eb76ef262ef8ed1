"""The table of resource kinds: type token -> its functions. Decides nothing; the files in swarm/ do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.compose import ServiceArgs
from provisioning.providers import wire
from provisioning.providers.swarm import config, network, secret, service, volume
from provisioning.providers.swarm.client import Swarm
from provisioning.providers.wire import PACKAGE
from provisioning.secret_socket import SecretClient

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource kind.

    Attributes:
        parse: JSON data -> its arguments.
        replaces: top-level fields whose change makes a new object.
        ours: fields that are our own book-keeping and never a difference.
    """

    parse: Callable[[Mapping[str, Any]], Any]
    create: Callable[[Swarm, Any, SecretClient], str]
    read: Callable[[Swarm, Any], tuple[str, Any] | None]
    delete: Callable[[Swarm, Any], None]
    replaces: frozenset[str]
    update: Callable[[Swarm, Any, SecretClient], None] | None = None

    def changed(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
        """Paths that differ between state and wish."""
        return wire.changed_paths(wire.to_plain(self.parse(old)), wire.to_plain(self.parse(new)))


def _secret_create(swarm: Swarm, args: secret.SecretArgs, client: SecretClient) -> str:
    return secret.create(swarm, args, client.get)


def _service_create(swarm: Swarm, args: ServiceArgs, client: SecretClient) -> str:
    return service.create(swarm, args, client.mask)


def _service_update(swarm: Swarm, args: ServiceArgs, client: SecretClient) -> None:
    service.update(swarm, args, client.mask)


KINDS: dict[str, Kind] = {
    f"{PACKAGE}:swarm:Network": Kind(
        lambda data: wire.simple_of(network.NetworkArgs, data),
        lambda swarm, args, _: network.create(swarm, args),
        network.read,
        network.delete,
        network.REPLACES,
    ),
    f"{PACKAGE}:swarm:Volume": Kind(
        lambda data: wire.simple_of(volume.VolumeArgs, data),
        lambda swarm, args, _: volume.create(swarm, args),
        volume.read,
        volume.delete,
        volume.REPLACES,
    ),
    f"{PACKAGE}:swarm:Config": Kind(
        lambda data: wire.simple_of(config.ConfigArgs, data),
        lambda swarm, args, _: config.create(swarm, args),
        config.read,
        config.delete,
        config.REPLACES,
    ),
    f"{PACKAGE}:swarm:Secret": Kind(
        lambda data: wire.simple_of(secret.SecretArgs, data), _secret_create, secret.read, secret.delete, secret.REPLACES
    ),
    f"{PACKAGE}:swarm:Service": Kind(wire.service_of, _service_create, service.read, service.delete, service.REPLACES, _service_update),
}
