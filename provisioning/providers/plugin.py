"""Entry of the provider plug-in `pulumi-resource-sprocket`. Imports neither Django nor the Automation API.

Calls to Docker block, so they run in threads; one Docker client per process, made when first needed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pulumi.provider.experimental import provider as pulumi_provider
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import PropertyDiff, PropertyDiffKind
from pulumi.provider.experimental.server import main as serve

from provisioning.providers.kinds import KINDS, Kind
from provisioning.providers.swarm.client import DockerSwarm, connect
from provisioning.providers.vault import client as vault
from provisioning.providers.wire import PACKAGE, to_plain
from provisioning.secret_socket import SecretClient
from sprocket_v2 import __version__
from sprocket_v2.errors import SprocketError

PAUSES_S = (1.0, 3.0)  # before the second and the third try, where an answer of Docker's or Vault's was lost
Properties = Mapping[str, PropertyValue]
Result = TypeVar("Result")


class ProviderError(Exception):
    """What the engine shows: message and hint. It appends our own stack, which the reader of its events cuts off."""


def plain_of(value: PropertyValue) -> Any:  # noqa: ANN401 - JSON
    """A property as plain data."""
    inner = value.value
    if isinstance(inner, Mapping):
        return {key: plain_of(item) for key, item in inner.items()}
    if isinstance(inner, (list, tuple)):
        return [plain_of(item) for item in inner]
    return inner


def property_of(value: Any) -> PropertyValue:  # noqa: ANN401 - JSON
    """Plain data as a property."""
    if isinstance(value, Mapping):
        return PropertyValue({str(key): property_of(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return PropertyValue([property_of(item) for item in value])
    return PropertyValue(float(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _plain(properties: Properties) -> dict[str, Any]:
    return {key: plain_of(value) for key, value in properties.items()}


def _properties(data: Mapping[str, Any]) -> dict[str, PropertyValue]:
    return {key: property_of(value) for key, value in data.items()}


class SprocketProvider(pulumi_provider.Provider):
    """Swarm objects as resources."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(max_workers=32)
        self._lock = threading.Lock()
        self._swarm: DockerSwarm | None = None
        self._secrets = SecretClient()
        self._vaults: dict[vault.Reach, vault.HvacVault] = {}

    def _client(self) -> DockerSwarm:
        with self._lock:
            if self._swarm is None:
                self._swarm = connect()
            return self._swarm

    def _door(self, kind: Kind, args: Any) -> Any:  # noqa: ANN401 - the client that this kind takes
        if kind.door == "swarm":
            return self._client()
        with self._lock:
            return self._vaults.setdefault(args.reach, vault.connect(args.reach, self._secrets.get))

    async def _in_thread(self, call: Callable[[], Result]) -> Result:
        """Safe to try again: what is there by then is found by its name, and is not made, changed or removed a second time."""
        for pause in (*PAUSES_S, None):
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
            except SprocketError as error:
                if pause is None or not error.transient:
                    raise ProviderError(f"{error}\nhint: {error.hint}" if error.hint else str(error)) from None
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that many do not come at once
        raise AssertionError

    async def get_schema(self, request: pulumi_provider.GetSchemaRequest) -> pulumi_provider.GetSchemaResponse:
        return pulumi_provider.GetSchemaResponse(schema=f'{{"name": "{PACKAGE}", "version": "{plugin_version()}"}}')

    async def check_config(self, request: pulumi_provider.CheckRequest) -> pulumi_provider.CheckResponse:
        return pulumi_provider.CheckResponse(inputs=request.new_inputs)

    async def diff_config(self, request: pulumi_provider.DiffRequest) -> pulumi_provider.DiffResponse:
        return pulumi_provider.DiffResponse(changes=False)

    async def configure(self, request: pulumi_provider.ConfigureRequest) -> pulumi_provider.ConfigureResponse:
        return pulumi_provider.ConfigureResponse(accept_secrets=False, accept_resources=False, accept_outputs=False, supports_preview=True)

    async def check(self, request: pulumi_provider.CheckRequest) -> pulumi_provider.CheckResponse:
        try:
            _kind(request.urn).parse(_plain(request.new_inputs))
        except (KeyError, TypeError, ValueError) as error:
            failure = pulumi_provider.CheckFailure("", f"not the arguments of this kind: {error}")
            return pulumi_provider.CheckResponse(inputs=request.new_inputs, failures=[failure])
        return pulumi_provider.CheckResponse(inputs=request.new_inputs)

    async def diff(self, request: pulumi_provider.DiffRequest) -> pulumi_provider.DiffResponse:
        kind = _kind(request.urn)
        wanted = _plain(request.new_inputs)
        paths = kind.changed(_plain(request.old_state), wanted)
        top = list(dict.fromkeys(_top(path) for path in paths))
        # A kind that cannot be updated is replaced; only labels may differ on it without consequence. What somebody else made is never
        # replaced: every difference is shown, and what Docker cannot change is refused by the apply.
        replaces = [field for field in top if field in kind.replaces or (kind.update is None and field != "labels")]
        replaces = [] if wanted.get("adopted") else replaces
        changing = [path for path in paths if kind.update is not None or wanted.get("adopted") or _top(path) in replaces]
        kinds = {path: PropertyDiffKind.UPDATE_REPLACE if _top(path) in replaces else PropertyDiffKind.UPDATE for path in changing}
        return pulumi_provider.DiffResponse(
            changes=bool(changing),
            replaces=replaces,
            diffs=list(dict.fromkeys(_top(path) for path in changing)),
            detailed_diff={path: PropertyDiff(kind=value, input_diff=False) for path, value in kinds.items()},
            delete_before_replace=False,
        )

    async def create(self, request: pulumi_provider.CreateRequest) -> pulumi_provider.CreateResponse:
        if request.preview:
            return pulumi_provider.CreateResponse(resource_id="", properties=request.properties)
        kind = _kind(request.urn)
        args = kind.parse(_plain(request.properties))
        made = await self._in_thread(lambda: kind.create(self._door(kind, args), args, self._secrets))
        return pulumi_provider.CreateResponse(resource_id=made, properties=_properties(to_plain(args)))

    async def update(self, request: pulumi_provider.UpdateRequest) -> pulumi_provider.UpdateResponse:
        if request.preview:
            return pulumi_provider.UpdateResponse(properties=request.news)
        kind = _kind(request.urn)
        args = kind.parse(_plain(request.news))
        update = kind.update
        if update is not None:
            await self._in_thread(lambda: update(self._door(kind, args), args, self._secrets))
        elif args.adopted:
            raise ProviderError(
                f"{args.name} is not as it was when it was taken over, and Docker cannot change it\nhint: import the estate again"
            )
        return pulumi_provider.UpdateResponse(properties=_properties(to_plain(args)))

    async def read(self, request: pulumi_provider.ReadRequest) -> pulumi_provider.ReadResponse:
        kind, known = _kind(request.urn), _plain(request.properties)
        if kind.door == "swarm" and (not known.get("name") or known.get("adopted")):
            return await self._read_adopted(kind, str(known.get("adopted") or request.resource_id), request)
        args = kind.parse(known)
        found = await self._in_thread(lambda: kind.read(self._door(kind, args), args, self._secrets))
        if found is None:
            return pulumi_provider.ReadResponse(resource_id="", properties={}, inputs={})
        # Inputs stay as they were wished: what differs from them is drift, and the next preview shows it as a change.
        return pulumi_provider.ReadResponse(
            resource_id=found[0], properties=_properties(to_plain(found[1])), inputs=request.inputs or _properties(to_plain(args))
        )

    async def _read_adopted(self, kind: Kind, found: str, request: pulumi_provider.ReadRequest) -> pulumi_provider.ReadResponse:
        """Somebody else's object by its id alone, in full: the form in which the program declares it.

        One that is gone is gone from the state by a refresh, and an error to an import, which wants it.
        """
        args = await self._in_thread(lambda: kind.adopt(self._client(), found, self._secrets))
        if args is None and not request.properties:
            hint = "somebody removed it or made it anew: import the estate again, or decide in the ledger to drop it"
            raise ProviderError(f"{request.urn.rsplit('::', maxsplit=1)[-1]}, taken over as {found}, is gone\nhint: {hint}")
        if args is None:
            return pulumi_provider.ReadResponse(resource_id="", properties={}, inputs={})
        properties = _properties(to_plain(args))
        return pulumi_provider.ReadResponse(resource_id=args.adopted, properties=properties, inputs=request.inputs or properties)

    async def delete(self, request: pulumi_provider.DeleteRequest) -> None:
        kind, known = _kind(request.urn), _plain(request.properties)
        if known.get("adopted"):
            return  # somebody else made it: it is forgotten, never removed
        args = kind.parse(known)
        await self._in_thread(lambda: kind.delete(self._door(kind, args), args))

    async def cancel(self) -> None:
        return None


def _kind(urn: str) -> Kind:
    token = urn.split("::")[2].rsplit("$", maxsplit=1)[-1]
    if token not in KINDS:
        raise ProviderError(f"resource kind {token} is not known\nhint: the program and the plug-in are of different releases")
    return KINDS[token]


def _top(path: str) -> str:
    return path.split(".", 1)[0].split("[", 1)[0]


def plugin_version() -> str:
    """The project's version in the engine's own form: 2.0.0a1 is 2.0.0-alpha.1 there."""
    for short, long in (("a", "-alpha."), ("b", "-beta."), ("rc", "-rc.")):
        base, mark, number = __version__.partition(short)
        if mark and number.isdecimal():
            return f"{base}{long}{number}"
    return __version__


def main() -> None:
    """Serve until the engine ends us."""
    if os.environ.get("SPROCKET_BASIS") == "empty-host":
        os.environ["DOCKER_HOST"] = "unix:///nonexistent"  # a preview against nothing must not look at what is there
    serve(sys.argv[1:], plugin_version(), SprocketProvider())


if __name__ == "__main__":
    main()
