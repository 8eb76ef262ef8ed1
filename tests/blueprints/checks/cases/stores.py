"""Cases of the rules about stores: what needs what, secret stores, data that lasts."""

from __future__ import annotations

from dataclasses import replace

from blueprints.checks.facts import Node, Records, Rehearsal, Running, Store, Target, Token, Vault
from blueprints.compose import Mount
from tests.blueprints.checks.estates import Case, part, path, secret, service, subject, volume

_GIB = 1024**3
_HCL = 'storage "s3" {{\n  endpoint = "http://{}:9000"\n}}\n'
_OPEN = Vault("http://vault:8200", answers=True, policies=("infrastructure",))
_BROKER = service("broker", "rabbitmq:3.13", facts={"stage": "data"}, files={"/etc/rabbitmq/rabbitmq.conf": "heartbeat = 60\n"})


def _vault(**changes: object) -> Target:
    return Target(vault=replace(_OPEN, **changes))  # type: ignore[arg-type]


def _vault_on(host: str) -> tuple[object, ...]:
    return (
        service("vault", "vault:1.10.0", files={"/vault.hcl": _HCL.format(host)}),
        service("minio", "minio/minio:1", secrets=(secret("minio-root"),)),
        part("secret", "minio-root", facts={"vault": "infrastructure/data/minio/root#password"}),
    )


def _app(url: str, **changes: object) -> tuple[object, ...]:
    return service("app", facts={"stage": "apps"}, environment={"BROKER": url}, **changes)  # type: ignore[arg-type]


_DATABASE = service("postgres", "postgres:15", mounts=(volume("db"),))
CASES = {
    "I01-rebuild-is-rehearsed": Case(
        subject(records=Records(is_deployed=True, rehearsals=(Rehearsal("restore", 200, 60),))),
        "was tried 200 days ago",
        subject(records=Records(is_deployed=True, rehearsals=(Rehearsal("restore", 5, 60), Rehearsal("restore", 200, 60)))),
    ),
    "I02-opens-by-itself": Case(
        subject(service("vault", "vault:1.10.0"), service("app", environment={"VAULT_ADDR": "http://vault:8200"})),
        "is sealed after every restart, and app cannot be had without it",
        subject(
            service("vault", "openbao/openbao:2", files={"/openbao/config/a.hcl": 'seal "transit" {\n}\n'}),
            service("app", environment={"VAULT_ADDR": "http://vault:8200"}),
        ),
    ),
    "I02-open-after-restart": Case(
        subject(running=Running(stores=(Store("vault", True, True, restarted_s=120),))),
        "is sealed after its restart",
        subject(running=Running(stores=(Store("vault", True, False, restarted_s=8),))),
    ),
    "I03-dependency-cycle": Case(
        subject(*_vault_on("minio")), "vault -> minio -> vault", subject(*_vault_on("nyc3.spaces.example.com")),
    ),
    "I04-keys-fit": Case(
        subject(target=_vault(is_sealed=True, has_keys=False)), "do not initialise it anew", subject(target=_vault(is_sealed=True)),
    ),
    "I05-token-is-good": Case(subject(target=_vault(policies=None)), "does not take the token", subject(target=_vault())),
    "I06-token-lives": Case(
        subject(target=_vault(tokens=(Token("platform-access", 3 * 86400.0),))),
        "ends in 3 days",
        subject(target=_vault(tokens=(Token("platform-access", 30 * 86400.0), Token("renewed", 3600.0, is_renewed=True), Token("root", None)))),
    ),
    "I07-data-is-backed-up": Case(
        subject(_DATABASE, part("volume", "db", facts={"backup": "The provider does it."})),
        "no service dumps it",
        subject(
            _DATABASE,
            service("backup", environment={"PGHOST": "postgres"}, files={"/backup.sh": "pg_dump > /backups/x\n"}, mounts=(volume("saved"),)),
            part("volume", "db"),
            part("volume", "saved"),
            service("cache", "redis:7", mounts=(volume("sessions"),)),
            part("volume", "sessions", facts={"backup": "Not saved; sessions are made anew."}),
        ),
    ),
    "I08-memory-fits": Case(
        subject(service("a", memory_bytes=6 * _GIB, replicas=2), target=Target(nodes=(Node("one", memory_bytes=8 * _GIB),))),
        "may use 12288 MiB, and the nodes have 8192 MiB",
        subject(service("a", memory_bytes=4 * _GIB, replicas=2), target=Target(nodes=(Node("one", memory_bytes=8 * _GIB),))),
    ),
    "I08-secret-store-stands-alone": Case(
        subject(service("vault", "vault:1.10.0", files={"/vault.hcl": _HCL.format("minio")}), service("minio", "minio/minio:1")),
        "needs minio",
        subject(service("vault", "vault:1.10.0", files={"/vault.hcl": _HCL.format("nyc3.spaces.example.com")}), service("minio", "minio/minio:1")),
    ),
    "I15-restarts-are-paced": Case(
        subject(service("app", restart_delay_s=0)), "without a pause", subject(service("app", restart_delay_s=5)),
    ),
    "I15-restarts-are-few": Case(
        subject(running=Running(services=("app",), restarts={"app": 4})),
        "ended 4 times within a day",
        subject(running=Running(services=("app",), restarts={"app": 3})),
    ),
    "I15-disk-has-room": Case(subject(target=Target(disk_used=0.93)), "93% used", subject(target=Target(disk_used=0.4, kept_tasks=5))),
    "I16-waits-for-the-broker": Case(
        subject(service("broker", "rabbitmq:3.13", facts={"stage": "apps"}, healthcheck=None), _app("amqp://broker:5672?heartbeat=60")),
        "it has no health check",
        subject(_BROKER, _app("amqp://broker:5672?heartbeat=60")),
    ),
    "I16-heartbeat": Case(
        subject(_BROKER, _app("amqp://broker:5672")), "broker:5672 without heartbeat", subject(_BROKER, _app("amqp://broker:5672?heartbeat=60")),
    ),
    "I23-path-is-written": Case(
        subject(path("platform/sprocket/oauth", written_by=["script"], fields=["id"]), path("platform/main/oauth", read_by=["api"])),
        "is read by api, and nothing writes it",
        subject(path("platform/main/oauth", written_by=["script"], read_by=["api"], fields=["id"])),
    ),
    "I23-path-is-there": Case(
        subject(path("platform/oauth", read_by=["api"]), part("secret", "google-id", facts={"vault": "platform/oauth#clientId"}), target=_vault(paths={"platform/oauth": ("client_id",)})),
        "has no field clientId",
        subject(path("platform/oauth", read_by=["api"]), part("secret", "google-id", facts={"vault": "platform/oauth#clientId"}), target=_vault(paths={"platform/oauth": ("clientId",)})),
    ),
    "I24-one-writer": Case(
        subject(path("infrastructure/redis", written_by=["a", "b", "c"])),
        "is written by a and by b and by c",
        subject(path("infrastructure/redis/a", written_by=["a"]), path("infrastructure/redis/b", written_by=["b"])),
    ),
    "I30-size-is-a-limit": Case(
        subject(part("volume", "metrics", driver_options={"size": "5G"})),
        "size 5G has no effect",
        subject(part("volume", "metrics", driver_options={"type": "tmpfs", "o": "size=64m", "device": "tmpfs"})),
    ),
    "I31-volumes-do-not-nest": Case(
        subject(part("volume", "influx", driver_options={"device": "/mnt/data"}), part("volume", "loki", driver_options={"device": "/mnt/data/loki"})),
        "/mnt/data/loki lies in /mnt/data, which is influx",
        subject(part("volume", "influx", driver_options={"device": "/mnt/data/influx"}), part("volume", "loki", driver_options={"device": "/mnt/data/loki"})),
    ),
    "I31-path-is-there": Case(
        subject(service("a", mounts=(Mount("bind", "/srv/keys", "/keys"),)), target=Target(paths={"/srv/keys": False})),
        "is not there",
        subject(service("a", mounts=(Mount("bind", "/srv/keys", "/keys"),)), target=Target(paths={"/srv/keys": True})),
    ),
}  # fmt: skip
