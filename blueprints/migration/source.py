"""Where the estate's data is, as an admin says it in a short file: what no export and no live swarm tells. Passwords are secrets, not here."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from orgs.grammar import BucketName, HostName, Identifier, Port, host_or_address, shown
from orgs.needs_file import needs_error, read_yaml

FILE = "migration-source.yaml"
NEEDS_FILE = "migration-needs.yaml"
DATABASE_PASSWORD = "migration-database-password"  # noqa: S105 - names of secrets
ACCESS_KEY = "migration-storage-access-key"
SECRET_KEY = "migration-storage-secret-key"  # noqa: S105
CACHE_PASSWORD = "migration-cache-password"  # noqa: S105
_NETWORK = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")


def _network(value: str) -> str:
    if not _NETWORK.match(value):
        raise ValueError(f"{shown(value)} is no network's name: letters, digits, dots, hyphens and underscores")
    return value


NetworkName = Annotated[str, AfterValidator(_network)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=253)


class SourceDatabase(_Part):
    """The estate's PostgreSQL: any server this machine's containers can reach.

    Attributes:
        sslmode: as libpq takes it.
        networks: overlay networks of the estate it can only be reached in.
    """

    host: Annotated[str, AfterValidator(host_or_address)]
    port: Port = 5432
    name: Identifier
    user: Identifier
    sslmode: Literal["disable", "prefer", "require", "verify-full"] = "require"
    networks: tuple[NetworkName, ...] = ()


class SourceStorage(_Part):
    """The estate's object storage, and which of its buckets holds what."""

    host: HostName
    port: Port = 443
    tls: bool = Field(default=True, strict=True)
    replays_bucket: BucketName
    images_bucket: BucketName


class Source(_Part):
    """All of the file.

    Attributes:
        storage: None where the estate stores no files.
        cache_has_password: the estate's Redis asks for one (`migration-cache-password`).
    """

    database: SourceDatabase
    storage: SourceStorage | None = None
    cache_has_password: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _two_buckets(self) -> Source:
        if self.storage and self.storage.replays_bucket == self.storage.images_bucket:
            raise ValueError(f'both buckets are "{self.storage.images_bucket}": name the one with replays and the one with pictures')
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets a person has to bring for the copy."""
        storage = (ACCESS_KEY, SECRET_KEY) if self.storage else ()
        cache = (CACHE_PASSWORD,) if self.cache_has_password else ()
        return (DATABASE_PASSWORD, *storage, *cache)


def parse_source(text: str, name: str = FILE) -> Source:
    """The file's answers.

    Raises:
        NeedsError: every problem found, with its line.
    """
    data, lines = read_yaml(text, name, 64 * 1024, "it is a dozen lines: database, storage, cache_has_password")
    try:
        return Source.model_validate(data)
    except ValidationError as error:
        raise needs_error(error, name, lines) from None
