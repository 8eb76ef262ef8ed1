"""The machine a plan is for: Docker's version, memory, disk, entry ports, the images by digest or id, public names. Changes nothing.

What is seen is read once into `Host`; everything else decides and is pure.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from provisioning.preflight.result import Result

LEAST_VERSION = (20, 10)
LEAST_FREE_MIB = 1024
WANTED_FREE_MIB = 5 * 1024
OTHER_SERVICE, OTHER_PROGRAM = "another service", "another program on this machine"
_SHOWN = 4


class HostReader(Protocol):
    """What is asked of Docker about its machine."""

    def about(self) -> tuple[str, int, str]:
        """Version, memory in bytes, and the folder of its data; that is empty where it is on another machine."""
        ...

    def publishers(self, port: int) -> list[str]:
        """Names of services that publish a port."""
        ...

    def is_port_free(self, port: int) -> bool:
        """Whether nothing listens there."""
        ...

    def local_image_id(self, reference: str) -> str:
        """The id of an image there; empty when it is not."""
        ...


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a bundle's lock."""

    key: str
    reference: str
    digest: str
    local_id: str

    @property
    def is_pinned(self) -> bool:
        """It goes by digest."""
        return self.digest.startswith("sha256:")


@dataclass(frozen=True, slots=True)
class Host:
    """What was seen.

    Attributes:
        free_mib: room where Docker keeps its data; None where that is another machine's disk.
        taken: entry port -> OTHER_SERVICE or OTHER_PROGRAM; never by its name, which may be another tenant's.
        image_ids: reference -> id, of those that are there.
        missing: folders that services mount and that this process does not see on the machine.
    """

    version: str
    memory_mib: int
    free_mib: int | None
    taken: Mapping[int, str]
    image_ids: Mapping[str, str]
    missing: Sequence[str] = ()


def images_of(lock: Mapping[str, Any]) -> tuple[Image, ...]:
    """The images of blueprint.lock.json."""
    return tuple(
        Image(key, str(item["reference"]), str(item.get("digest") or ""), str(item.get("local_id") or ""))
        for key, item in lock["images"].items()
    )


def read_host(
    reader: HostReader, slug: str, own: Collection[str], ports: Collection[int], references: Collection[str], folders: Collection[str] = ()
) -> Host:
    """Look once.

    Args:
        own: Docker names of the organization's services that do not begin with its slug, such as adopted ones.
        ports: entry ports the organization's own services are to publish.
        folders: paths of the machine that its services mount; not looked for where the machine is another one.
    Raises:
        ApplyError: Docker does not answer.
    """
    version, memory, root = reader.about()
    taken = {port: holder for port in ports if (holder := _holder(reader, slug, own, port))}
    ids = {reference: found for reference in references if (found := reader.local_image_id(reference))}
    missing = [folder for folder in folders if root and not Path(folder).exists()]
    return Host(version, memory // 2**20, _free_mib(root), taken, ids, missing)


def _holder(reader: HostReader, slug: str, own: Collection[str], port: int) -> str:
    publishers = reader.publishers(port)
    if any(name.startswith(f"{slug}_") or name in own for name in publishers):
        return ""
    return OTHER_SERVICE if publishers else "" if reader.is_port_free(port) else OTHER_PROGRAM


def _free_mib(root: str) -> int | None:
    folder = next((path for path in (Path(root), *Path(root).parents) if path.exists()), None) if root else None
    try:
        return shutil.disk_usage(folder).free // 2**20 if folder else None
    except OSError:
        return None


def host_results(host: Host, images: Sequence[Image], needed_mib: int) -> Iterator[Result]:
    """What was seen, judged."""
    yield _version(host.version)
    yield _memory(host.memory_mib, needed_mib)
    yield _disk(host.free_mib)
    yield from _ports(host.taken)
    yield from _folders(host.missing)
    yield from _images(images, host.image_ids)


def _version(version: str) -> Result:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(numbers) == len(LEAST_VERSION) and numbers < LEAST_VERSION:
        return Result("host/docker", "block", f"Docker is {version}; 20.10 or newer is needed.", "Update Docker Engine.")
    return Result("host/docker", "pass", f"Docker is {version}.")


def _memory(memory_mib: int, needed_mib: int) -> Result:
    words = f"The machine has {memory_mib} MiB of memory; this deployment may take {needed_mib} MiB."
    if memory_mib and memory_mib < needed_mib:
        return Result("host/memory", "warn", words, "Take a larger machine, or switch something off.", "machine.memory_mib")
    return Result("host/memory", "pass", words)


def _disk(free_mib: int | None) -> Result:
    if free_mib is None:
        return Result("host/disk", "note", "Docker's disk is on another machine: nobody looked how much room it has.")
    words = f"{free_mib / 1024:.1f} GiB are free where Docker keeps its data."
    if free_mib < LEAST_FREE_MIB:
        return Result("host/disk", "block", words, "Make room: `docker system df` says what takes it.")
    if free_mib < WANTED_FREE_MIB:
        return Result("host/disk", "warn", words, "5 GiB are wanted for images and data.")
    return Result("host/disk", "pass", words)


def _ports(taken: Mapping[int, str]) -> Iterator[Result]:
    for port, holder in taken.items():
        stop = f"Stop it (`ss -ltnp 'sport = :{port}'` names it)" if holder == OTHER_PROGRAM else "Stop what listens there"
        words, remedy = f"Entry port {port} is taken by {holder}.", f"{stop}, or choose another port in the needs."
        yield Result(f"host/port-{port}", "block", words, remedy, "access")
    if not taken:
        yield Result("host/ports", "pass", "The entry ports are free, or this organization's own.")


def _folders(missing: Sequence[str]) -> Iterator[Result]:
    """A warning and no more: a control plane in a container speaks to the engine beside it and does not see its folders."""
    for folder in missing:
        words = f"There is no {folder} on the machine, and a service mounts it: Docker will not start that one."
        yield Result(f"host/folder{folder}", "warn", words, f"`mkdir -p {folder}` there, for root alone.")


def _images(images: Sequence[Image], here: Mapping[str, str]) -> Iterator[Result]:
    gone = [i.key for i in images if i.local_id and not i.is_pinned and here.get(i.reference) != i.local_id]
    loose = [i.key for i in images if not i.local_id and not i.is_pinned and i.reference not in here]
    pulled = [i.key for i in images if i.is_pinned and i.reference not in here]
    if gone:
        words = f"The images of {_some(gone)} were built on this machine, and are not here any more as they were locked."
        yield Result("host/images-local", "block", words, "Make a new blueprint: it locks what is here now.")
    if loose:
        words = f"The images of {_some(loose)} go by tag, without digest or id, and are not on the machine."
        yield Result("host/images-loose", "note", words, "`sprocket images lock` pins them; Docker pulls what the tag names by then.")
    if pulled:
        yield Result("host/images-pull", "note", f"The images of {_some(pulled)} are pulled by digest during the apply.")
    if not (gone or loose):
        yield Result("host/images", "pass", "Every image is locked, by digest or by the id of what is here.")


def _some(names: Sequence[str]) -> str:
    shown = list(dict.fromkeys(names))
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")


def name_results(ways: Sequence[Mapping[str, Any]], addresses_of: Callable[[str], Sequence[str]]) -> Iterator[Result]:
    """Whether the names of a public way in lead anywhere; other ways need no DNS."""
    for way in ways:
        if way.get("way") != "public":
            continue
        for host in dict.fromkeys((str(way["host"]), str(way["api_host"]))):
            found = addresses_of(host)
            if found:
                yield Result(f"dns/{host}", "pass", f"{host} leads to {', '.join(found)}.")
            else:
                remedy = "Make its DNS record before players are told the address; certificates wait for it too."
                yield Result(f"dns/{host}", "note", f"{host} is not known to DNS yet.", remedy, "access.public.domain")
