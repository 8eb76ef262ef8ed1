"""What an organization needs, as typed answers: the one truth for form, file, API and import.

Pure: no database, no Docker, no rule about components. A component's own questions are `options`, which only its manifest
understands.
"""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orgs.additions import Additions
from orgs.grammar import (
    BucketName,
    CommandPrefix,
    Email,
    FileName,
    HostName,
    HttpsUrl,
    Identifier,
    LanHost,
    Line,
    Name,
    OptionName,
    OptionValue,
    Port,
    ProfileName,
    PublicDomain,
    Sha256,
    Slug,
    VpnHost,
    shown,
)

Way = Literal["localhost", "lan", "vpn", "public"]
DnsProvider = Literal[
    "none", "cloudflare", "desec", "digitalocean", "dnsimple", "duckdns", "gandiv5", "hetzner", "linode", "netlify", "vultr"
]
WAYS: tuple[Way, ...] = ("localhost", "lan", "vpn", "public")


class _Part(BaseModel):
    """Every part of the needs: immutable, and a key nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=500)


class Person(_Part):
    """Somebody one can reach."""

    name: Name = Field(title="Name", description="Who it is.")
    contact: Line = Field(title="Contact", description="How to reach them: a Discord name, an e-mail address, a phone number.")


def _yes_no(title: str, sentence: str) -> bool:
    answer: bool = Field(default=False, strict=True, title=title, description=sentence)
    return answer


class Features(_Part):
    """What the league does: yes or no, one sentence each."""

    scrims: bool = _yes_no("Scrims", "Players queue for practice matches and are matched by rank.")
    submissions: bool = _yes_no("Submissions", "Teams hand in results, both sides ratify, the results count.")
    replays: bool = _yes_no("Replays", "Results are read from uploaded replay files (Rocket League only).")
    report_cards: bool = _yes_no("Report cards", "A picture of each finished match is made and posted.")
    template_editor: bool = _yes_no("Template editor", "Staff change the look of report cards in the browser.")
    notifications: bool = _yes_no("Notifications", "Players hear about scrims and matches by Discord message.")
    skill_ratings: bool = _yes_no("Skill ratings", "Ratings and salaries follow from match results.")
    match_statistics: bool = _yes_no("Match statistics over time", "Figures of every match are kept, to look back over seasons.")
    machine_metrics: bool = _yes_no("Machine figures", "Memory, processor and disk of the machine and of each part are kept as figures.")
    log_search: bool = _yes_no("Log search", "What all parts write to their logs is kept and can be searched in the dashboards.")
    dashboards: bool = _yes_no("Dashboards", "Staff look at the league's figures as charts.")
    status_page: bool = _yes_no("Status page", "Players can see for themselves whether the platform is up.")
    message_queue: bool = _yes_no("Message queue", "Your own tools exchange messages with each other through a RabbitMQ broker.")
    automations: bool = _yes_no("Automations", "Staff connect the league with other tools by drawing workflows (n8n).")
    graph_database: bool = _yes_no("Graph database", "Your own tools keep relations between players and teams in Neo4j.")
    secret_server: bool = _yes_no("Secret server", "An OpenBao server keeps the secrets of your own tools.")


class Discord(_Part):
    """The organization's Discord application."""

    bot: bool = Field(default=True, strict=True, title="Discord bot", description="Commands, roles and nicknames in your Discord server.")
    prefix: CommandPrefix = Field(default="s.", title="Command prefix", description="What a command begins with, 1 to 8 characters.")


class StartingData(_Part):
    """What the database begins with."""

    kind: Literal["empty", "schema-file", "backup"] = Field(
        default="empty",
        title="Starting data",
        description="Nothing, a file that makes the tables, or a backup (plain SQL) to restore.",
    )
    file: FileName | None = Field(default=None, title="File", description="Name of the SQL file, beside the needs file.")
    sha256: Sha256 | None = Field(default=None, title="SHA-256 of the file", description="Filled in when the file is read.")

    @model_validator(mode="after")
    def _file_fits_kind(self) -> StartingData:
        if self.kind == "empty" and self.file:
            raise ValueError(f'kind is "empty", yet a file is named ({self.file}): choose schema-file or backup, or remove file')
        if self.kind != "empty" and not self.file:
            raise ValueError(f'kind is "{self.kind}", yet no file is named: add file, or choose empty')
        return self


class ManagedDatabase(_Part):
    """An existing PostgreSQL server outside the deployment."""

    host: HostName = Field(title="Host", description="Its DNS name. The applications speak TLS to it.")
    port: Port = Field(default=5432, title="Port", description="Usually 5432 or 25060.")
    name: Identifier = Field(title="Database", description="A database for this organization alone.")
    user: Identifier = Field(title="User", description="The role that owns the database.")

    @model_validator(mode="after")
    def _not_an_alias(self) -> ManagedDatabase:
        if self.host in ("postgres", "localhost"):
            raise ValueError(f'host "{self.host}" means the deployment\'s own database: name the managed server, or remove managed')
        return self


class Database(_Part):
    """Where the league's records live."""

    where: Literal["deployment", "managed"] = Field(
        default="deployment", title="Database", description="In the deployment, or an existing managed PostgreSQL."
    )
    managed: ManagedDatabase | None = Field(default=None, title="Managed PostgreSQL")
    starting_data: StartingData = Field(default=StartingData(), title="Starting data")

    @model_validator(mode="after")
    def _managed_fits_where(self) -> Database:
        if self.where == "managed" and self.managed is None:
            raise ValueError("where is managed, yet managed is missing: give host, name and user, or choose deployment")
        if self.where == "deployment" and self.managed is not None:
            raise ValueError("where is deployment, yet managed is given: remove it, or choose managed")
        return self


class ExistingStorage(_Part):
    """Object storage outside the deployment that speaks S3: Spaces, S3, a MinIO of your own."""

    host: HostName = Field(title="Endpoint", description="Its DNS name, without scheme and bucket.")
    port: Port = Field(default=443, title="Port", description="Usually 443.")
    tls: bool = Field(default=True, strict=True, title="TLS", description="Whether it is spoken to over TLS.")
    replays_bucket: BucketName = Field(title="Bucket for replays", description="Private, for this organization alone.")
    images_bucket: BucketName = Field(title="Bucket for pictures", description="Report cards in it are made readable for all.")

    @model_validator(mode="after")
    def _two_buckets(self) -> ExistingStorage:
        if self.replays_bucket == self.images_bucket:
            raise ValueError(f'both buckets are "{self.images_bucket}": pictures are public, replays are not; use two')
        return self


class Storage(_Part):
    """Where uploaded files and pictures live, when a feature stores any."""

    where: Literal["deployment", "existing"] = Field(
        default="deployment",
        title="Object storage",
        description="In the deployment, or an existing one; used only when a feature stores files.",
    )
    existing: ExistingStorage | None = Field(default=None, title="Existing object storage")

    @model_validator(mode="after")
    def _existing_fits_where(self) -> Storage:
        _refuse_half(self.where, self.existing, "host and buckets")
        return self


class ExistingCache(_Part):
    """A Redis outside the deployment. It needs a password, sixteen databases, and for notifications the JSON module."""

    host: HostName = Field(title="Host", description="Its DNS name.")
    port: Port = Field(default=6379, title="Port", description="Usually 6379 or 25061.")
    tls: bool = Field(default=True, strict=True, title="TLS", description="Whether it is spoken to over TLS.")


class Cache(_Part):
    """Where the applications' cache lives."""

    where: Literal["deployment", "existing"] = Field(
        default="deployment", title="Redis", description="In the deployment, or an existing Redis."
    )
    existing: ExistingCache | None = Field(default=None, title="Existing Redis")

    @model_validator(mode="after")
    def _existing_fits_where(self) -> Cache:
        _refuse_half(self.where, self.existing, "host")
        return self


def _refuse_half(where: str, existing: object, parts: str) -> None:
    if where == "existing" and existing is None:
        raise ValueError(f"where is existing, yet existing is missing: give {parts}, or choose deployment")
    if where == "deployment" and existing is not None:
        raise ValueError("where is deployment, yet existing is given: remove it, or choose existing")


class Machine(_Part):
    """The machine it runs on and what it may cost, to find out before it is too small. Absent means not checked."""

    memory_mib: Annotated[int, Field(ge=512, le=4_194_304, strict=True)] | None = Field(
        default=None, title="Memory of the machine", description="In MiB; the blueprint has to fit into it."
    )
    monthly_usd: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = Field(
        default=None, title="Budget", description="What the machine may cost a month, in US dollars."
    )


class Localhost(_Part):
    """Reached from the machine itself, for trying out."""

    host: HostName = Field(title="Host name", description="Ends in localhost; browsers resolve it to this machine.")
    port: Port = Field(default=8080, title="Port", description="Web and API answer here.")

    @model_validator(mode="after")
    def _is_local(self) -> Localhost:
        if self.host != "localhost" and not self.host.endswith(".localhost"):
            raise ValueError(f'host "{self.host}" does not end in localhost: use lan, vpn or public for other names')
        return self


class Lan(_Part):
    """Reached in the local network, by the machine's address or name."""

    host: LanHost = Field(title="Address or name", description="Of this machine in the local network.")
    port: Port = Field(default=8080, title="Web port", description="The web answers here.")
    api_port: Port = Field(default=8081, title="API port", description="The API answers here.")
    certificate: Literal["none", "own"] = Field(
        default="none", title="Certificate", description="None means plain HTTP; your own is brought as two secrets, certificate and key."
    )

    @model_validator(mode="after")
    def _two_ports(self) -> Lan:
        if self.port == self.api_port:
            raise ValueError(f"port and api_port are both {self.port}: one host needs two different ports")
        return self


class Vpn(Lan):
    """Reached over a VPN such as a tailnet, by name or address."""

    host: VpnHost = Field(title="Address or name", description="Of this machine in the tailnet, such as box.tail1234.ts.net.")


class Public(_Part):
    """Reached from the internet on a domain, with certificates from Let's Encrypt."""

    domain: PublicDomain = Field(
        default="", validate_default=True, title="Domain", description="The web; the API is api.<domain>. Both need a DNS record."
    )
    email: Email = Field(title="E-mail for Let's Encrypt", description="Where notices about certificates go.")
    certificates: Literal["staging", "live", "private"] = Field(
        default="staging",
        title="Certificates from",
        description="Staging first: it proves name, port and challenge without using up the weekly limits, and browsers warn. "
        "Once the routes page says that it was issued, choose live. Private is an authority of your own.",
    )
    acme_server: HttpsUrl | None = Field(
        default=None,
        title="Address of the private authority",
        description="Its ACME directory, for private only; its own certificate is brought as a secret.",
    )
    challenge: Literal["tls", "dns"] = Field(
        default="tls",
        title="Proof of the domain",
        description="TLS: port 443 is reached from the internet. DNS: a record made by your provider's API.",
    )
    dns_provider: DnsProvider = Field(
        default="none", title="DNS provider", description="Whose API makes the record, for proof by DNS; its token is brought as a secret."
    )
    hsts: bool = _yes_no(
        "Insist on HTTPS", "Browsers refuse plain HTTP for half a year (HSTS). Only once HTTPS is proved; it cannot be taken back."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Public:
        if self.certificates == "private" and self.acme_server is None:
            raise ValueError("certificates is private, yet acme_server is missing: give its ACME directory, or choose staging")
        if self.certificates != "private" and self.acme_server is not None:
            raise ValueError(f"acme_server is given, yet certificates is {self.certificates}: remove it, or choose private")
        if self.challenge == "dns" and self.dns_provider == "none":
            raise ValueError("challenge is dns, yet dns_provider is none: say whose API makes the record, or choose tls")
        if self.challenge == "tls" and self.dns_provider != "none":
            raise ValueError(f"dns_provider is {self.dns_provider}, yet challenge is tls: remove it, or choose dns")
        if self.hsts and self.certificates == "staging":
            raise ValueError(
                "hsts is true, yet certificates is staging, which browsers refuse: choose live first, see it work, then insist"
            )
        return self


class Access(_Part):
    """How people reach the deployment: any of four ways; login works on the canonical one."""

    canonical: Way = Field(default="localhost", title="Canonical way", description="Signing in works on exactly this one.")
    localhost: Localhost | None = Field(default=None, title="From this machine")
    lan: Lan | None = Field(default=None, title="In the local network")
    vpn: Vpn | None = Field(default=None, title="Over a VPN")
    public: Public | None = Field(default=None, title="From the internet")
    shared: bool = Field(
        default=False,
        strict=True,
        title="Share the entry ports",
        description="Other organizations on the machine use the same ports; the host's edge tells them apart by their names.",
    )
    entry_lane: Annotated[int, Field(ge=0, le=8191, strict=True)] | None = Field(
        default=None, title="Entry lane", description="Which of the host's 8192 entry networks; answer it only when an error asks for it."
    )

    @model_validator(mode="after")
    def _lane_fits_shared(self) -> Access:
        if self.entry_lane is not None and not self.shared:
            raise ValueError(f"entry_lane is {self.entry_lane}, yet shared is false: remove it, or share the entry ports")
        return self

    @field_validator("canonical", mode="before")
    @classmethod
    def _one_canonical(cls, given: object) -> object:
        if isinstance(given, list | tuple) or (isinstance(given, str) and "," in given):
            names = ", ".join(str(way) for way in given) if not isinstance(given, str) else given
            raise ValueError(f"{shown(names)} is more than one way, and signing in works on exactly one: choose one of them")
        return given

    @model_validator(mode="after")
    def _canonical_is_there(self) -> Access:
        if getattr(self, self.canonical) is None:
            raise ValueError(f"canonical is {self.canonical}, yet {self.canonical} is missing: describe it, or choose another way")
        return self

    @model_validator(mode="after")
    def _own_names(self) -> Access:
        hosts = {way: self.host_of(way) for way in self.ways()}
        for one, other in combinations(hosts, 2):
            if hosts[one] == hosts[other]:
                raise ValueError(
                    f'{one} and {other} are both "{hosts[one]}", and could not tell whom to let in: give each a name of its own'
                )
        for above, below in permutations(hosts, 2):
            if above in ("localhost", "public") and hosts[below].endswith(f".{hosts[above]}"):
                raise ValueError(
                    f'{below} is "{hosts[below]}", beneath {above}\'s "{hosts[above]}", whose parts have such names: give it a name of its own'
                )
        return self

    def ways(self) -> tuple[Way, ...]:
        """The ways in use, the canonical one first."""
        used = [way for way in WAYS if getattr(self, way) is not None]
        return tuple(sorted(used, key=lambda way: way != self.canonical))

    def host_of(self, way: Way) -> str:
        """The name or address of a way in use; empty for one that is not."""
        described = getattr(self, way)
        return str(getattr(described, "domain", "") or getattr(described, "host", "")) if described else ""


class Needs(_Part):
    """All answers of one organization."""

    name: Name = Field(title="League name", description="As players know it.")
    slug: Slug = Field(title="Short name", description="Becomes part of every Docker name and cannot be changed later.")
    owner: Person = Field(title="Owner", description="Who answers for this deployment.")
    deputy: Person | None = Field(default=None, title="Deputy", description="Who can take over. Have one.")
    profile: ProfileName = Field(default="v2", title="Application generation", description="Which set of applications to deploy.")
    applications: Literal["real", "stand-in"] = Field(
        default="real",
        title="Applications",
        description="The real images, or this project's stand-ins under the same names, for trying out without a registry.",
    )
    games: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=20)] = Field(
        title="Games", description="What is played, such as rocket-league."
    )
    expected_members: Annotated[int, Field(ge=1, le=100_000, strict=True)] = Field(
        default=100, title="Expected members", description="People with an account, roughly. It decides the sizes."
    )
    features: Features = Field(default=Features(), title="What the league does")
    login: Annotated[tuple[Literal["discord", "google", "steam", "epic"], ...], Field(max_length=4)] = Field(
        default=("discord",), title="Login providers", description="Discord is the one the applications use today."
    )
    discord: Discord = Field(default=Discord(), title="Discord")
    database: Database = Field(default=Database(), title="Database")
    storage: Storage = Field(default=Storage(), title="Object storage")
    cache: Cache = Field(default=Cache(), title="Redis")
    machine: Machine = Field(default=Machine(), title="Machine")
    host: Literal["this-machine"] = Field(
        default="this-machine", title="Where it runs", description="The Docker Engine beside the control plane."
    )
    access: Access = Field(title="How it is reached")
    options: dict[OptionName, dict[OptionName, OptionValue]] = Field(
        default_factory=dict, title="Options", description="Answers to a component's own questions: component, then input."
    )
    additions: Additions = Field(default=Additions(), title="Local additions")
    estate: FileName | None = Field(
        default=None,
        title="Estate that was taken over",
        description="The attached record of an import; the blueprint is what it says runs.",
    )

    @property
    def files(self) -> tuple[str, ...]:
        """The files these answers name; they stand beside a needs file, or are attached."""
        return tuple(name for name in (self.database.starting_data.file, self.additions.file, self.estate) if name)

    @model_validator(mode="after")
    def _no_contradiction(self) -> Needs:
        contradiction = _contradiction(self)
        if contradiction:
            raise ValueError(contradiction)
        return self


def _contradiction(needs: Needs) -> str:
    """The first pair of answers that cannot both hold, in words; empty when there is none."""
    if "discord" not in needs.login:
        return "login: discord is missing, and the applications can sign nobody in without it: add discord"
    for feature, why in (
        ("notifications", "the bot sends them"),
        ("report_cards", "the bot posts the cards"),
        ("template_editor", "the bot posts what is drawn"),
    ):
        if getattr(needs.features, feature) and not needs.discord.bot:
            return f"features.{feature} is true, yet discord.bot is false: {why}; turn one of the two round"
    if needs.features.template_editor and needs.database.where == "managed":
        return "features.template_editor is true, yet database.where is managed: the editor cannot speak TLS to a database; turn one of the two round"
    for feature in ("replays", "skill_ratings"):
        if getattr(needs.features, feature) and "rocket-league" not in needs.games:
            return f"features.{feature} is true, yet games has no rocket-league: the replay parser knows no other game"
    if needs.access.public and needs.access.public.certificates != "private" and needs.applications == "stand-in":
        return "access.public is given, yet applications is stand-in: stand-ins are for trying out; choose real, or another way in"
    if len(set(needs.games)) != len(needs.games):
        return "games names one game twice: remove the second"
    return ""
