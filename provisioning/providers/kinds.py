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
        adopt: the live object of an engine id as somebody else's that we look after; None when there is none.
    """

    parse: Callable[[Mapping[str, Any]], Any]
    create: Callable[[Swarm, Any, SecretClient], str]
    read: Callable[[Swarm, Any], tuple[str, Any] | None]
    delete: Callable[[Swarm, Any], None]
    replaces: frozenset[str]
    adopt: Callable[[Swarm, str, SecretClient], Any]
    update: Callable[[Swarm, Any, SecretClient], None] | None = None

    def changed(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
        """Paths that differ between state and wish."""
        return wire.changed_paths(wire.to_plain(self.parse(old)), wire.to_plain(self.parse(new)))


def _secret_create(swarm: Swarm, args: secret.SecretArgs, client: SecretClient) -> str:
    return secret.create(swarm, args, client.get)


def _service_create(swarm: Swarm, args: ServiceArgs, client: SecretClient) -> str:
    if args.adopted:
        return service.create_adopted(swarm, args, client.mask, org=client.org, withhold=_withholding(client))
    return service.create(swarm, args, client.mask)


def _service_update(swarm: Swarm, args: ServiceArgs, client: SecretClient) -> None:
    if args.adopted:
        service.update_adopted(swarm, args, client.mask, org=client.org, withhold=_withholding(client))
    else:
        service.update(swarm, args, client.mask)


def _service_adopt(swarm: Swarm, service_id: str, client: SecretClient) -> ServiceArgs | None:
    found = swarm.find("service", service_id)
    if found is None or found["ID"] != service_id:
        return None
    return service.read_adopted(swarm, found, _withholding(client))


def _withholding(client: SecretClient) -> service.Withhold:
    return lambda args: wire.service_of(client.withhold(wire.to_plain(args)))


KINDS: dict[str, Kind] = {
    f"{PACKAGE}:swarm:Network": Kind(
        lambda data: wire.simple_of(network.NetworkArgs, data),
        lambda swarm, args, _: network.create(swarm, args),
        network.read,
        network.delete,
        network.REPLACES,
        lambda swarm, found, _: network.read_adopted(swarm, found),
    ),
    f"{PACKAGE}:swarm:Volume": Kind(
        lambda data: wire.simple_of(volume.VolumeArgs, data),
        lambda swarm, args, _: volume.create(swarm, args),
        volume.read,
        volume.delete,
        volume.REPLACES,
        lambda swarm, found, client: volume.read_adopted(swarm, found, client.withhold_option),
    ),
    f"{PACKAGE}:swarm:Config": Kind(
        lambda data: wire.simple_of(config.ConfigArgs, data),
        lambda swarm, args, _: config.create(swarm, args),
        config.read,
        config.delete,
        config.REPLACES,
        lambda swarm, found, _: config.read_adopted(swarm, found),
    ),
    f"{PACKAGE}:swarm:Secret": Kind(
        lambda data: wire.simple_of(secret.SecretArgs, data),
        _secret_create,
        secret.read,
        secret.delete,
        secret.REPLACES,
        lambda swarm, found, _: secret.read_adopted(swarm, found),
    ),
    f"{PACKAGE}:swarm:Service": Kind(
        wire.service_of, _service_create, service.read, service.delete, service.REPLACES, _service_adopt, _service_update
    ),
}
