"""The table of resource kinds: type token -> its functions. Decides nothing; the files in swarm/ and vault/ do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from blueprints.compose import ServiceArgs
from provisioning.providers import wire
from provisioning.providers.swarm import config, network, secret, service, volume
from provisioning.providers.swarm.client import Swarm
from provisioning.providers.vault import auth, mount, policy, seal
from provisioning.providers.vault import secret as vault_secret
from provisioning.providers.wire import PACKAGE
from provisioning.secret_socket import SecretClient

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource kind.

    Attributes:
        parse: JSON data -> its arguments.
        replaces: top-level fields whose change makes a new object.
        door: which client its functions take.
        adopt: the live object of an engine id as somebody else's that we look after; None when there is none.
    """

    parse: Callable[[Mapping[str, Any]], Any]
    create: Callable[[Any, Any, SecretClient], str]
    read: Callable[[Any, Any, SecretClient], tuple[str, Any] | None]
    delete: Callable[[Any, Any], None]
    replaces: frozenset[str]
    adopt: Callable[[Any, str, SecretClient], Any]
    update: Callable[[Any, Any, SecretClient], None] | None = None
    door: Literal["swarm", "vault"] = "swarm"

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


def _without_secrets(read: Callable[[Swarm, Any], tuple[str, Any] | None]) -> Callable[[Any, Any, SecretClient], tuple[str, Any] | None]:
    return lambda swarm, args, _: read(swarm, args)


def _not_adopted(_door: object, _id: str, _client: SecretClient) -> None:
    """Nothing of a secret server's is taken over by an id: `adopted` in its arguments says that ours may go over somebody else's."""


def _vault_kind(module: Any) -> Kind:  # noqa: ANN401 - one of the vault package's modules
    return Kind(
        module.parse,
        lambda vault, args, _: str(module.create(vault, args)),
        lambda vault, args, _: module.read(vault, args),
        module.delete,
        module.REPLACES,
        _not_adopted,
        lambda vault, args, _: module.update(vault, args),
        door="vault",
    )


KINDS: dict[str, Kind] = {
    f"{PACKAGE}:vault:Seal": Kind(
        seal.parse,
        lambda vault, args, client: seal.create(vault, args, client.get),
        lambda vault, args, _: seal.read(vault, args),
        seal.delete,
        seal.REPLACES,
        _not_adopted,
        lambda vault, args, client: seal.update(vault, args, client.get),
        door="vault",
    ),
    f"{PACKAGE}:vault:Mount": _vault_kind(mount),
    f"{PACKAGE}:vault:Policy": _vault_kind(policy),
    f"{PACKAGE}:vault:AuthMethod": _vault_kind(auth),
    f"{PACKAGE}:vault:Secret": Kind(
        vault_secret.parse,
        lambda vault, args, client: vault_secret.create(vault, args, client.get),
        lambda vault, args, client: vault_secret.read(vault, args, client.fingerprint),
        vault_secret.delete,
        vault_secret.REPLACES,
        _not_adopted,
        lambda vault, args, client: vault_secret.update(vault, args, client.get),
        door="vault",
    ),
    f"{PACKAGE}:swarm:Network": Kind(
        lambda data: wire.simple_of(network.NetworkArgs, data),
        lambda swarm, args, _: network.create(swarm, args),
        _without_secrets(network.read),
        network.delete,
        network.REPLACES,
        lambda swarm, found, _: network.read_adopted(swarm, found),
    ),
    f"{PACKAGE}:swarm:Volume": Kind(
        lambda data: wire.simple_of(volume.VolumeArgs, data),
        lambda swarm, args, _: volume.create(swarm, args),
        _without_secrets(volume.read),
        volume.delete,
        volume.REPLACES,
        lambda swarm, found, client: volume.read_adopted(swarm, found, client.withhold_option),
    ),
    f"{PACKAGE}:swarm:Config": Kind(
        lambda data: wire.simple_of(config.ConfigArgs, data),
        lambda swarm, args, _: config.create(swarm, args),
        _without_secrets(config.read),
        config.delete,
        config.REPLACES,
        lambda swarm, found, _: config.read_adopted(swarm, found),
    ),
    f"{PACKAGE}:swarm:Secret": Kind(
        lambda data: wire.simple_of(secret.SecretArgs, data),
        _secret_create,
        _without_secrets(secret.read),
        secret.delete,
        secret.REPLACES,
        lambda swarm, found, _: secret.read_adopted(swarm, found),
    ),
    f"{PACKAGE}:swarm:Service": Kind(
        wire.service_of, _service_create, _without_secrets(service.read), service.delete, service.REPLACES, _service_adopt, _service_update
    ),
}
