"""Secrets that a service of the deployment makes itself, such as a secret server's first token: read from a file in its container once
it is up, sealed in the store, and used by the layers after it. The value is in no log, message or event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from blueprints.layers import Layer, layers_of
from blueprints.rendering import Rendering
from provisioning import secret_store
from provisioning.live import LiveReader, adopted_of
from provisioning.probe import Patience
from provisioning.secret_store import Wanted
from sprocket_v2.errors import ApplyError, StaleError

PATIENCE_S = 60.0
READ_TIMEOUT_S = 10.0


def collect(
    org: Any,  # noqa: ANN401 - a row
    rendering: Rendering,
    layer: str,
    reader: LiveReader,
    *,
    beat: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Read what the services of a layer that is up have made.

    Args:
        layer: the layer that was just applied.
        beat: called while waiting, so that a caller can renew its lease.
    Raises:
        ApplyError: a file is not there, or holds no usable value, and the store has none either.
        StaleError: it holds another value than the version the blueprint names.
    """
    wanted = [item for item in secret_store.wanted_secrets(rendering.secrets) if item.is_collected]
    if not wanted:
        return
    mine = next(item for item in layers_of(rendering) if item.name == layer)
    for item, name in _made_here(wanted, mine):
        is_kept = secret_store.is_kept(org, item)
        value = _read(org.slug, rendering, item, name, reader, beat, Patience(0 if is_kept else patience_s))
        if not value and not is_kept:
            raise _missing(org.slug, item, name, patience_s)
        is_new = bool(value) and secret_store.keep_collected(org, item, value)
        if is_new:
            say(f"{item.name}: taken from {name} and sealed")
        if is_new and secret_store.secret_versions(org)[item.name] != item.version:
            raise StaleError(
                f"{name} has made another {item.name} than the blueprint's version {item.version}",
                hint="make a new blueprint, which names the new version, then a new plan",
                where=f"secret {item.name}",
            )


def _made_here(wanted: Iterable[Wanted], layer: Layer) -> list[tuple[Wanted, str]]:
    """Those whose service is in this layer, with the service's Docker name."""
    services = layer.stack.services
    by_name = {args.name: args.name for args in services.values()} | {key: args.name for key, args in services.items()}
    return [(item, by_name[item.service]) for item in wanted if item.service in by_name]


def _read(
    slug: str, rendering: Rendering, item: Wanted, service: str, reader: LiveReader, beat: Callable[[], None], patience: Patience
) -> str:
    """The file's text without the line's end; empty when it is not there in time."""
    while True:
        live = next((s for s in reader.live_services(slug, adopted_of(rendering.files)) if s.name == service), None)
        if live and live.running:
            code, text = reader.run_in(live.running[0].container, ["cat", item.file], timeout_s=READ_TIMEOUT_S)
            if code == 0 and text.strip():
                return text.strip()
        beat()
        if not patience.lasts():
            return ""


def _missing(slug: str, item: Wanted, service: str, patience_s: float) -> ApplyError:
    return ApplyError(
        f"{service} has not left {item.name} in {item.file} within {patience_s:.0f} s",
        hint=f"docker service logs --tail 50 {service} says why; if somebody has it: `sprocket secret set {slug} {item.name}`, then apply again",
        where=f"secret {item.name}",
    )
