"""The images the demo and the tests need, and how each is made where it cannot be pulled."""

from __future__ import annotations

from dataclasses import dataclass

APPLICATIONS = "ghcr.io/sprocketbot"


@dataclass(frozen=True, slots=True)
class Image:
    """One image.

    Attributes:
        stand_in: made by this project under a tag of its own, so never pulled.
        lines: Dockerfile lines after FROM the base; files are copied from the build context.
        base: the image it begins with, of tools/images/base.py.
    """

    name: str
    stand_in: bool
    lines: tuple[str, ...]
    base: str = "sprocket/base:bookworm"

    @property
    def runs_the_real_program(self) -> bool:
        """It holds the program itself, not this project's imitation of it."""
        return not any("COPY standins/" in line for line in self.lines)


_STANDIN = ("COPY standins/ /opt/standin/", "ENV PATH=/opt/standin/bin:/usr/local/bin:/usr/bin:/bin", "WORKDIR /app")


def _application(service: str) -> Image:
    return Image(f"{APPLICATIONS}/{service}:standin", True, (*_STANDIN, 'CMD ["node"]'))


def _backing(name: str, command: str, *more: str) -> Image:
    return Image(name, True, (*_STANDIN, *more, f'CMD ["{command}"]'))


# Debian's own broker, laid out as the official image is: its user, folders, paths and entry point.
_BROKER = (
    "COPY files/rabbitmq-entrypoint.sh /usr/local/bin/docker-entrypoint.sh",
    "ENV PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- LANG=C.UTF-8",
    "RUN mkdir -p /var/lib/rabbitmq /var/log/rabbitmq && chown -R rabbitmq: /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq",
)
_BROKER_STARTS = ('ENTRYPOINT ["docker-entrypoint.sh"]', 'CMD ["rabbitmq-server"]')

# The older layout's names, as catalogued; the tags are this project's, so that where the real ones can be pulled they are never hidden.
_LEGACY_APPLICATIONS = (
    "web", "discord-bot", "image-generation-service", "notification-service", "server-analytics-service", "matchmaking-service",
    "replay-parse-service", "elo-service", "submission-service",
)  # fmt: skip
_LEGACY_TOOLS = {"grafana/grafana:main-standin": "grafana", "n8nio/n8n:legacy-standin": "n8n", "twinproduction/gatus:v5.1-standin": "gatus"}
_LEGACY: tuple[Image, ...] = (
    Image("traefik:v2.11-built", True, ("COPY traefik-2 /usr/local/bin/traefik", 'ENTRYPOINT ["traefik"]')),
    # OpenBao, which began as Vault 1.14, under Vault's name.
    Image("vault:1.10-standin", True, ("COPY bao /usr/local/bin/bao", "RUN ln -s bao /usr/local/bin/vault", 'CMD ["vault"]')),
    Image("tecnativa/docker-socket-proxy:standin", True, (*_STANDIN, 'CMD ["docker-socket-proxy"]')),
    Image(
        "redislabs/rejson:2.0-standin",
        True,
        (
            "COPY files/rejson-entrypoint.sh /usr/local/bin/docker-entrypoint.sh",
            "COPY files/rejson-server.sh /usr/local/bin/redis-server",
            "RUN mkdir -p /data && chown redis: /data",
            "WORKDIR /data",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["redis-server"]',
        ),
    ),
    Image(
        "rabbitmq:3.10-management-bookworm",
        True,
        (
            *_BROKER,
            "COPY files/rabbitmq-defaults.conf /etc/rabbitmq/conf.d/10-defaults.conf",
            "RUN echo '[rabbitmq_management].' > /etc/rabbitmq/enabled_plugins && chown -R rabbitmq: /etc/rabbitmq",
            *_BROKER_STARTS,
        ),
        base="sprocket/broker-base:bookworm",
    ),
    Image(
        "influxdb:2.1-standin",
        True,
        (*_STANDIN, "COPY files/influxdb-entrypoint.sh /entrypoint.sh", 'ENTRYPOINT ["/entrypoint.sh"]', 'CMD ["influxd"]'),
    ),
    Image(
        "grafana/loki:main-standin",
        True,
        (
            *_STANDIN,
            "COPY files/loki-local.yaml /etc/loki/local-config.yaml",
            'ENTRYPOINT ["loki"]',
            'CMD ["-config.file=/etc/loki/local-config.yaml"]',
        ),
    ),
    *(Image(name, True, (*_STANDIN, f'CMD ["legacy-tool", "{tool}"]')) for name, tool in _LEGACY_TOOLS.items()),
    Image("asaxplayinghorse/core:main-standin", True, (*_STANDIN, "ENV STANDIN_CONTRACT=town-hall", 'CMD ["legacy", "core"]')),
    *(Image(f"asaxplayinghorse/{name}:main-standin", True, (*_STANDIN, f'CMD ["legacy", "{name}"]')) for name in _LEGACY_APPLICATIONS),
)

IMAGES: tuple[Image, ...] = (
    Image(
        "postgres:15-bookworm",
        False,
        (
            "COPY files/postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh",
            "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8",
            "RUN mkdir -p /var/lib/postgresql/data /var/run/postgresql && chown -R postgres: /var/lib/postgresql /var/run/postgresql",
            "STOPSIGNAL SIGINT",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["postgres"]',
        ),
    ),
    Image(
        "redis:7.0-bookworm",
        False,
        (
            "COPY files/redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh",
            "RUN mkdir -p /data && chown redis: /data",
            "WORKDIR /data",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["redis-server"]',
        ),
    ),
    Image("traefik:v3.7", False, ("COPY traefik /usr/local/bin/traefik", 'CMD ["traefik"]')),
    *(
        _application(service)
        for service in (
            "core",
            "web",
            "discord-bot",
            "matchmaking-service",
            "notification-service",
            "submission-service",
            "server-analytics-service",
            "image-generation-service",
            "image-generation-frontend",
        )
    ),
    # As upstream's image does, it looks for its settings in a folder nobody mounts; the blueprint has to say otherwise.
    Image(f"{APPLICATIONS}/monolith:standin", True, (*_STANDIN, "ENV NODE_CONFIG_DIR=/app/core/config", 'CMD ["node"]')),
    Image(
        f"{APPLICATIONS}/replay-parse-service:standin",
        True,
        (*_STANDIN, "COPY standins/bin/replay-parser /app/start.sh", 'CMD ["./start.sh"]'),
    ),
    Image(
        f"{APPLICATIONS}/sprocket:standin",
        True,
        (*_STANDIN, "COPY standins/bin/bun-entrypoint /entrypoint.sh", 'ENTRYPOINT ["/entrypoint.sh"]', 'CMD ["exec", "core"]'),
    ),
    Image(f"{APPLICATIONS}/elo-service:standin", True, (*_STANDIN, 'CMD ["elo"]')),
    _backing("influxdb:2.7-standin", "influxd"),
    Image(
        "rabbitmq:3.10-bookworm",
        True,
        (*_BROKER, *_BROKER_STARTS),
        base="sprocket/broker-base:bookworm",
    ),
    _backing("grafana/grafana:11-standin", "grafana-stand"),
    _backing("twinproduction/gatus:v5-standin", "gatus"),
    _backing("minio/minio:standin", "minio"),
    Image("grafana/loki:standin", True, (*_STANDIN, 'ENTRYPOINT ["loki"]')),
    # The real agent, built from its Go module.
    Image(
        "telegraf:1.37-built",
        True,
        (
            "COPY telegraf /usr/bin/telegraf",
            "COPY files/telegraf-entrypoint.sh /entrypoint.sh",
            "RUN useradd --system --home-dir /nonexistent telegraf && mkdir -p /etc/telegraf",
            'ENTRYPOINT ["/entrypoint.sh"]',
            'CMD ["telegraf"]',
        ),
    ),
    _backing("neo4j:standin", "neo4j-stand", "COPY files/tini.sh /usr/bin/tini", "COPY files/neo4j.sh /startup/docker-entrypoint.sh"),
    _backing("n8nio/n8n:standin", "n8n"),
    _backing("dgraph/dgraph:standin", "dgraph"),
    # The real server, from its package on PyPI.
    Image("openbao/openbao:2.7.2", False, ("COPY bao /usr/local/bin/bao", "RUN mkdir -p /openbao/file /openbao/config", 'CMD ["bao"]')),
    *_LEGACY,
)
