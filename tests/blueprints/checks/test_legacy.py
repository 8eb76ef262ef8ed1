"""Run on the legacy estate the rules list its real weaknesses: these, and no others."""

from __future__ import annotations

from blueprints.catalog import TEMPLATES, load_catalog
from blueprints.checks.model import Subject
from blueprints.checks.registry import failed, run_checks
from blueprints.checks.subjects import subject_of_rendering
from blueprints.estate.model import Estate
from blueprints.render import render
from blueprints.resolve import resolve
from orgs.needs_file import parse_needs
from tests.blueprints.checks.legacy import BROKER, CACHE, everything

ACCESS = {
    "access": {"ways": [{"way": "lan", "host": "192.168.4.39"}, {"way": "public", "host": "league.example.org", "certificate": "live"}]}
}


def _found() -> dict[str, list[str]]:
    subject = Subject("legacy", Estate(everything(), ("facts",)), ACCESS)
    return {outcome.rule.id: [found.where for found in outcome.found] for outcome in failed(run_checks(subject))}


def test_the_real_weaknesses_are_listed_and_nothing_else() -> None:
    assert set(_found()) == {
        "I07-data-is-backed-up",  # nothing saves what the volumes hold
        "I15-restarts-are-paced",  # restarted at once
        "I16-heartbeat",  # neither side sends one
        "I16-waits-for-the-broker",  # no health check, no order
        "I18-database-address",  # no port, no TLS mode
        "I19-everybody-ships",  # most keep their log to themselves
        "I19-tags-match",  # two parts in the pattern, five in the tag
        "I20-secret-in-settings",  # passwords in environment and arguments
        "I23-path-is-written",  # platform/sprocket written, platform/main read
        "I24-one-writer",  # three Redis, one path
        "I25-one-kind",  # debugging lines in production
        "I26-way-unused",  # the LAN address does nothing
        "I27-monitoring-follows",  # watches the old domains
        "I28-named-things-exist",  # sprocket_main is never made
        "I29-inputs-point-somewhere",  # localhost
        "I30-file-is-read",  # redis.conf is not loaded
        "I31-volumes-do-not-nest",  # loki inside influx
        "I33-port-once",  # two fluentd, one port
        "I34-moving-image",  # latest, main, none
        "I34-public-without-digest",
        "I35-certificates-are-verified",  # two bots, one editor
        "I38-guest-user",
        "I38-store-is-public",  # broker, cache, metrics, vault
    }


def test_each_is_named_where_it_is() -> None:
    found = _found()
    assert found["I24-one-writer"] == ["infrastructure/data/redis"]
    assert found["I23-path-is-written"] == ["platform/main/manual/oauth/google#clientId"]
    assert set(found["I30-file-is-read"]) == {
        "layer2redis-redis-primary-7af3fee /usr/local/etc/redis/redis.conf",
        f"{CACHE} /usr/local/etc/redis/redis.conf",
    }
    assert set(found["I38-store-is-public"]) == {"vault", "influx", BROKER, CACHE}
    assert found["I38-guest-user"] == [BROKER]
    assert found["I31-volumes-do-not-nest"] == ["loki-volume"]
    assert found["I33-port-once"] == ["port 24224/tcp"]
    assert found["I26-way-unused"] == ["access.lan"]
    assert set(found["I29-inputs-point-somewhere"]) == {
        "telegraf-4d3c2b1 inputs.rabbitmq",
        "telegraf-4d3c2b1 inputs.redis",
        "telegraf-4d3c2b1 inputs.postgresql",
    }


def test_what_was_in_order_is_not_complained_about() -> None:
    """The proxy's labels and network, the secret store's storage, host names of the platform, a port for each."""
    passed = {o.rule.id for o in run_checks(Subject("legacy", Estate(everything()))) if o.state == "passed"}
    assert {
        "I02-opens-by-itself", "I03-dependency-cycle", "I08-secret-store-stands-alone", "I10-duplicate-router", "I11-proxy-labels",
        "I11-proxy-network", "I12-certificate-budget", "I12-real-authority-for-public-names", "I14-host-is-known", "I17-log-limit",
        "I37-nothing-by-id",
    } <= passed  # fmt: skip


def test_the_rendered_legacy_blueprint_lists_its_weaknesses_by_name() -> None:
    catalog = load_catalog()
    needs = parse_needs((TEMPLATES.parent / "orgs" / "legacy.yaml").read_text())
    outcomes = run_checks(subject_of_rendering(render(resolve(needs, catalog), catalog), needs=needs))
    assert {outcome.rule.id for outcome in failed(outcomes)} == {
        "I13-secrets-have-a-form",  # people bring them, and nothing says what they look like
        "I14-host-is-known",  # ratings ask Dgraph, which is not among the 22
        "I17-log-limit",  # Telegraf says nothing about its log
        "I18-database-address",  # no port, no TLS mode
        "I19-everybody-ships",  # each keeps its log to itself
        "I25-one-kind",  # debugging lines in production
        "I27-monitoring-follows",  # watches the old domains
        "I28-named-things-exist",  # sprocket_main is never made
        "I29-inputs-point-somewhere",  # localhost
        "I30-file-is-read",  # redis.conf is not loaded
        "I34-moving-image",
        "I34-public-without-digest",
        "I38-guest-user",
        "I38-store-is-public",
    }
