"""Local additions: environment values for services of the release, and services of an organization's own. Data only, never templates.

A service is a Compose service held to an allow list (rule 23): what is not here cannot be said. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from orgs.grammar import EnvironmentName, EnvironmentValue, FileName, ImageReference, Port, Sha256, option_name, shown

MAX_SERVICES = 8
RELEASE = "whoever needs a change in a file of the release changes the template release"
_OWN_NAME = re.compile(r"\A[a-z][a-z0-9-]{0,15}\Z")
_SECRET = re.compile(r"\Alocal-[a-z0-9][a-z0-9-]{0,22}\Z")
_PATH = re.compile(r"\A(?:/[A-Za-z0-9._-]{1,60}){1,8}\Z")
_MEMORY = re.compile(r"\A([0-9]{1,7})(?:([mg])(?:i?b)?)\Z", re.IGNORECASE)
_CPUS = re.compile(r"\A[0-9]{1,2}(?:\.[0-9]{1,2})?\Z")
_DURATION = re.compile(r"\A(?:([0-9]{1,3})m)?(?:([0-9]{1,4})s)?\Z")
_PORT = re.compile(r"\A([0-9]{1,5}):([0-9]{1,5})(?:/(tcp|udp))?\Z")
_USER = re.compile(r"\A[a-z0-9_-]{1,32}(?::[a-z0-9_-]{1,32})?\Z")
_NOT_FOR_A_VOLUME = ("/proc", "/sys", "/dev", "/run", "/var/run", "/etc")
_DOCKERS_PORTS = frozenset({22, 2375, 2376, 2377, 4789, 7946})
_NEVER = {
    "privileged": "the container would be the machine",
    "cap_add": "no service gets rights of the kernel",
    "devices": "no service gets devices of the machine",
    "device_cgroup_rules": "no service gets devices of the machine",
    "network_mode": "a service lives in the networks edge, data and outbound only",
    "pid": "no service sees the processes of the machine",
    "ipc": "no service shares memory with the machine",
    "uts": "no service shares names with the machine",
    "userns_mode": "no service shares users with the machine",
    "cgroup": "no service shares control groups with the machine",
    "cgroup_parent": "no service shares control groups with the machine",
    "security_opt": "protections stay on",
    "sysctls": "settings of the kernel stay as they are",
    "volumes_from": "a service has volumes of its own only",
    "links": "services find each other by name in their network",
    "external_links": "services find each other by name in their network",
    "env_file": "values stand under environment",
    "build": "an image comes from a registry, by its tag",
    "extends": "everything a service is stands in it",
    "configs": "additions bring no files: make an image that holds them",
    "extra_hosts": "names are what DNS says",
    "dns": "names are what DNS says",
    "labels": "labels say whose a service is, and are the release's",
    "container_name": "names are made from the organization's short name",
    "hostname": "names are made from the organization's short name",
    "restart": "a service that ends is started again",
    "depends_on": "services start beside each other; wait for what you need",
    "logging": "logs go where those of the release go",
    "mem_limit": "the limit stands under deploy, resources, limits, memory",
}


class _Part(BaseModel):
    """Immutable, and a key nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=500)


def _own_name(value: str) -> str:
    if not _OWN_NAME.match(value):
        raise ValueError(f"{shown(value)} is no name for an addition: a-z, 0-9 and -, at most 16, starting with a letter")
    return value


def _secret_name(value: str) -> str:
    if not _SECRET.match(value):
        raise ValueError(
            f"{shown(value)} is no secret of a local addition, and secrets of the release are not handed out: "
            "give it a name of its own that begins with local-, such as local-webhook"
        )
    return value


def _inside(value: str) -> str:
    if not _PATH.match(value) or "/../" in f"{value}/" or "/./" in f"{value}/":
        raise ValueError(f"{shown(value)} is no path in the container: write an absolute one of letters, digits and ._-, such as /data")
    return value


def _mount_place(value: str) -> str:
    if any(value == place or value.startswith(f"{place}/") for place in _NOT_FOR_A_VOLUME):
        raise ValueError(f"{shown(value)} belongs to the system in the container: choose another place, such as /data")
    return _inside(value)


def _memory(value: str) -> str:
    if not _MEMORY.match(value) or not 16 <= memory_mib(value) <= 65536:
        raise ValueError(f"{shown(value)} is no memory limit: write 16M to 64G, such as 128M")
    return value


def memory_mib(value: str) -> int:
    """`128M` or `1G` in MiB."""
    found = _MEMORY.match(value)
    assert found is not None  # noqa: S101 - it went through the grammar
    return int(found[1]) * (1024 if found[2] in "gG" else 1)


def _cpus(value: object) -> str:
    text = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _CPUS.match(text) or not 0.05 <= float(text) <= 16:
        raise ValueError(f"{shown(str(value))} is no number of cores: write 0.05 to 16, such as 0.5")
    return text


def seconds_of(value: str) -> int:
    """`90s` or `1m30s` in seconds."""
    found = _DURATION.match(value)
    if not found or not value:
        raise ValueError(f"{shown(value)} is no duration: write such as 10s or 1m30s")
    return int(found[1] or 0) * 60 + int(found[2] or 0)


def _duration(value: str) -> str:
    if not 1 <= seconds_of(value) <= 600:
        raise ValueError(f"{shown(value)} is no duration of 1s to 10m: write such as 10s or 1m30s")
    return value


def _user(value: str) -> str:
    if not _USER.match(value):
        raise ValueError(f"{shown(value)} is no user: write a name or number, such as 1000:1000")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > 500:
        raise ValueError(f"{shown(str(value))} is not one printable line of text: write it in quotes")
    return value


def _words(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(f"{shown(value)} is one text, which a shell would have to take apart: write a list, such as [sleep, infinity]")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def _network_names(value: object) -> object:
    """Compose's mapping of networks, where no network has a setting, is a list too."""
    if isinstance(value, Mapping):
        settings = next((item for item in value.values() if item), None)
        if settings is not None:
            raise ValueError(f"{shown(str(settings))} is a setting of a network: name the networks only, such as [data]")
        return list(value)
    return value


def _environment(value: object) -> object:
    """Compose's list `NAME=value` is a mapping too."""
    if isinstance(value, list):
        if not all(isinstance(item, str) and "=" in item for item in value):
            raise ValueError("an item is not NAME=value: write each as NAME=value")
        return dict(item.split("=", 1) for item in value)
    return value


def _port_parts(value: object) -> object:
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        found = _PORT.match(str(value))
        if not found:
            raise ValueError(
                f'{shown(str(value))} is no published port: write "PORT ON THE MACHINE:PORT IN THE CONTAINER", such as "9000:80"'
            )
        return {"published": int(found[1]), "target": int(found[2]), "protocol": found[3] or "tcp"}
    return value


def _volume_parts(value: object) -> object:
    if isinstance(value, str):
        source, _, target = value.partition(":")
        return {"source": source, "target": target}
    if isinstance(value, Mapping) and value.get("type", "volume") != "volume":
        raise ValueError(
            f"a mount of type {shown(str(value['type']))} is not allowed: a service has volumes of its own only; tmpfs has a key of its own"
        )
    return value


def _volume_source(value: str) -> str:
    if value.startswith(("/", ".", "~")) or "docker.sock" in value:
        what = "the engine's socket, and who has it has the machine" if "docker.sock" in value else "a folder of the machine"
        raise ValueError(f"{shown(value)} is {what}, which no service may mount: use a volume of its own, such as data:/data")
    return _own_name(value)


def _secret_parts(value: object) -> object:
    return {"source": value} if isinstance(value, str) else value


OwnName = Annotated[str, AfterValidator(_own_name)]
Word = Annotated[str, BeforeValidator(_word)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_words), Field(max_length=40)]
InContainer = Annotated[str, AfterValidator(_inside)]
MountPlace = Annotated[str, AfterValidator(_mount_place)]
Duration = Annotated[str, AfterValidator(_duration)]
Environment = Annotated[dict[EnvironmentName, EnvironmentValue], BeforeValidator(_environment), Field(max_length=60)]


class LocalPort(_Part):
    """A port of the machine that leads into the service."""

    published: Port = Field(title="Port of the machine", description="Nobody else's.")
    target: Port = Field(title="Port in the container", description="Where the service listens.")
    protocol: Literal["tcp", "udp"] = Field(default="tcp", title="Protocol", description="tcp or udp.")
    mode: Literal["host"] = Field(default="host", title="Mode", description="Always host.")

    @model_validator(mode="after")
    def _not_dockers(self) -> LocalPort:
        if self.published in _DOCKERS_PORTS:
            raise ValueError(f"port {self.published} is the machine's own (SSH, Docker, Swarm): publish another one")
        return self


class LocalVolume(_Part):
    """A volume of the service's own; nobody else's can be named."""

    type: Literal["volume"] = Field(default="volume", title="Type", description="Always volume.")
    source: Annotated[str, AfterValidator(_volume_source)] = Field(title="Name", description="Of the service's own.")
    target: MountPlace = Field(title="Path", description="In the container.")


class LocalSecret(_Part):
    """A secret of the service's own, as a file; its value is set on the Secrets page."""

    source: Annotated[str, AfterValidator(_secret_name)] = Field(title="Name", description="Begins with local-.")
    target: InContainer | None = Field(default=None, title="Path", description="Absent means /run/secrets and the name.")

    @property
    def path(self) -> str:
        """Where the file is."""
        return self.target or f"/run/secrets/{self.source}"


class LocalHealth(_Part):
    """How Docker asks whether it works."""

    test: Annotated[Words, Field(min_length=2)] = Field(title="Test", description="Begins with CMD or CMD-SHELL.")
    interval: Duration = Field(default="10s", title="Interval", description="Between two questions.")
    timeout: Duration = Field(default="5s", title="Time limit", description="Of one question.")
    retries: Annotated[int, Field(ge=1, le=30, strict=True)] = Field(default=3, title="Retries", description="Until it counts as ill.")
    start_period: Duration = Field(default="10s", title="Start", description="How long it may take at first.")

    @model_validator(mode="after")
    def _begins_as_docker_wants(self) -> LocalHealth:
        if self.test[0] not in ("CMD", "CMD-SHELL"):
            raise ValueError(f"test begins with {shown(self.test[0])}: begin it with CMD or CMD-SHELL")
        return self


class _Limits(_Part):
    memory: Annotated[str, AfterValidator(_memory)] = Field(title="Memory", description="Mandatory; such as 128M.")
    cpus: Annotated[str, BeforeValidator(_cpus)] | None = Field(default=None, title="Processor", description="Cores, such as 0.5.")


class _Resources(_Part):
    limits: _Limits = Field(title="Limits", description="The most it may use.")


class _Deploy(_Part):
    resources: _Resources = Field(title="Limits", description="The most it may use.")
    replicas: Annotated[int, Field(ge=1, le=4, strict=True)] = Field(default=1, title="Copies", description="1 to 4.")


Networks = Annotated[tuple[Literal["edge", "data", "outbound"], ...], BeforeValidator(_network_names), Field(min_length=1, max_length=3)]
Volumes = Annotated[tuple[Annotated[LocalVolume, BeforeValidator(_volume_parts)], ...], Field(max_length=6)]
Ports = Annotated[tuple[Annotated[LocalPort, BeforeValidator(_port_parts)], ...], Field(max_length=6)]
Secrets = Annotated[tuple[Annotated[LocalSecret, BeforeValidator(_secret_parts)], ...], Field(max_length=12)]


class LocalService(_Part):
    """One service of an organization's own."""

    image: ImageReference = Field(title="Image", description="Of an allowed registry, with a version.")
    deploy: _Deploy = Field(title="Limits", description="Mandatory: resources.limits.memory.")
    command: Words | None = Field(default=None, title="Command", description="A list; absent means the image's own.")
    entrypoint: Words | None = Field(default=None, title="Entry point", description="A list; absent means the image's own.")
    environment: Environment = Field(default_factory=dict, title="Environment", description="Names and values, none of them secret.")
    networks: Networks = Field(default=("data",), title="Networks", description="edge, data or outbound.")
    volumes: Volumes = Field(default=(), title="Volumes", description="Of its own only: name:/path.")
    tmpfs: Annotated[tuple[MountPlace, ...], Field(max_length=6)] = Field(default=(), title="Folders in memory", description="Paths.")
    ports: Ports = Field(default=(), title="Published ports", description="Port of the machine, port in the container.")
    secrets: Secrets = Field(default=(), title="Secrets", description="Of its own only; each begins with local-.")
    healthcheck: LocalHealth | None = Field(default=None, title="Health check", description="As in Compose.")
    user: Annotated[str, AfterValidator(_user)] | None = Field(default=None, title="User", description="A name or number.")
    stop_grace_period: Duration = Field(default="10s", title="Grace period", description="Between the polite stop and the kill.")

    @model_validator(mode="before")
    @classmethod
    def _never(cls, data: object) -> object:
        for key in data if isinstance(data, Mapping) else ():
            if key in _NEVER:
                raise ValueError(f"{key} is not allowed, since {_NEVER[key]}: remove it")
        deploy: object = data.get("deploy", {}) if isinstance(data, Mapping) else None
        for part in ("resources", "limits", "memory"):
            if isinstance(deploy, Mapping) and part not in deploy:
                raise ValueError(
                    "deploy has no memory limit, and one service must not take the memory of all: "
                    "write deploy, resources, limits, memory, such as 128M"
                )
            deploy = deploy.get(part) if isinstance(deploy, Mapping) else None
        return data

    @model_validator(mode="after")
    def _together(self) -> LocalService:
        if self.ports and not {"edge", "outbound"} & set(self.networks):
            raise ValueError("a published port leads nowhere from the network data alone: add the network edge or outbound")
        if self.ports and self.deploy.replicas > 1:
            raise ValueError(f"{self.deploy.replicas} replicas cannot share a port of the machine: publish none, or run one")
        if self.volumes and self.deploy.replicas > 1:
            raise ValueError(f"{self.deploy.replicas} replicas would write into one volume: run one")
        for what, names in (
            ("volume", [item.source for item in self.volumes]),
            ("place", [item.target for item in self.volumes] + list(self.tmpfs)),
            ("secret", [item.source for item in self.secrets]),
            ("network", [str(name) for name in self.networks]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice:
                raise ValueError(f"{what} {shown(twice)} is given twice: keep one of the two")
        return self


Services = Annotated[dict[OwnName, LocalService], Field(max_length=MAX_SERVICES)]


class Fragment(_Part):
    """A Compose file as far as an addition can be one: services; the lists of named things at its end may stand there, and say nothing."""

    version: str | None = None
    services: Annotated[Services, Field(min_length=1)]
    volumes: dict[OwnName, None] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _only_services(cls, data: Any) -> Any:  # noqa: ANN401 - plain data
        if not isinstance(data, Mapping):
            raise ValueError("not a Compose file: begin with services")  # noqa: TRY004 - pydantic collects ValueErrors
        for key in ("networks", "configs", "secrets", "include", "name"):
            if key in data:
                hint = "name the networks edge, data or outbound in the service" if key == "networks" else "say it in the service"
                raise ValueError(f"{key} of a whole file is not taken, since it could change what is the release's: remove it and {hint}")
        named = data.get("volumes")
        for name, settings in named.items() if isinstance(named, Mapping) else ():
            if settings:
                raise ValueError(f"volume {shown(str(name))} has settings, and could be somebody else's: write only its name")
        return {**data, "volumes": dict.fromkeys(named)} if isinstance(named, Mapping) else data


def _service_key(value: str) -> str:
    return option_name(value)


class Additions(_Part):
    """What an organization adds to the release for itself: data only, marked *local* wherever it shows."""

    environment: dict[Annotated[str, AfterValidator(_service_key)], Environment] = Field(
        default_factory=dict, title="Environment values", description="For services of the release: service, then name and value."
    )
    services: Services = Field(
        default_factory=dict, title="Services of your own", description="A Compose fragment, held to what is safe on a shared machine."
    )
    file: FileName | None = Field(default=None, title="Fragment", description="Name of a Compose fragment, beside the needs file.")
    sha256: Sha256 | None = Field(default=None, title="SHA-256 of the fragment", description="Refuses another file of the same name.")

    @model_validator(mode="after")
    def _digest_of_what(self) -> Additions:
        if self.sha256 and not self.file:
            raise ValueError("sha256 is given, yet file is not: name the file, or remove sha256")
        return self

    @property
    def is_given(self) -> bool:
        """Whether anything is added."""
        return bool(self.environment or self.services or self.file)
