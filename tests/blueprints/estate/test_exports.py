"""Stack exports: every finding of the estate's three, in both provider shapes, and what hostile files do."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprints.compose import Attached, Healthcheck, Mount, Port
from blueprints.estate.deployment import Limits
from blueprints.estate.exports import read_export
from blueprints.estate.gather import gather
from blueprints.estate.model import Estate, Item
from sprocket_v2.errors import EstateError, SprocketError
from tests.blueprints.estate.made_exports import (
    CANARY,
    Deployment,
    ciphertext,
    encoded,
    layer_1_of_2022,
    layer_2,
    plaintext,
    platform,
    routed,
)

KEY = b"k" * 32


def read(made: Deployment, **other: Any) -> Estate:
    """The estate of one made export, joined with nothing."""
    return gather([read_export(made.json(), f"{made.project}.json", KEY, **other)])


def rules(estate: Estate) -> Counter[str]:
    """How often each rule is remarked."""
    return Counter(remark.rule for remark in estate.all_remarks())


def item(estate: Estate, kind: Any, name: str) -> Item:
    """An item that has to be there."""
    found = estate.find(kind, name)
    assert found is not None, [i.name for i in estate.of(kind)]
    return found


def reconciles(estate: Estate) -> None:
    """Rows in the source are items, structure or refused, kind by kind."""
    for source, counted in estate.rows_in_source.items():
        items = Counter(i.kind for i in estate.items if i.origin.name == source)
        sums: Counter[str] = Counter(items) + Counter(estate.refused[source])
        sums["structure"] += sum(estate.structure[source].values())
        assert +sums == +Counter(counted), source


@pytest.mark.parametrize("shape", [3, 4])
def test_layer_2_has_seven_services_and_one_that_waits_for_its_deletion(shape: int) -> None:
    estate = read(layer_2(shape))
    assert len([s for s in estate.of("service") if not s.is_leaving]) == 7
    assert [s.name for s in estate.of("service") if s.is_leaving] == ["fluent-service-f8e9998"]
    assert rules(estate)["export.pending-delete"] == 1
    assert len(estate.of("config")) == 6
    reconciles(estate)


@pytest.mark.parametrize("shape", [3, 4])
def test_both_shapes_give_the_same_service(shape: int) -> None:
    estate = gather([read_export(layer_1_of_2022().json(), "layer_1.json", KEY), read_export(layer_2(shape).json(), "layer_2.json", KEY)])
    influx = item(estate, "service", "influx")
    assert influx.service is not None
    assert influx.service.networks == (
        Attached("influx-network-4b81452", ()), Attached("monitoring-network-c8afa14", ()), Attached("traefik-ingress", ()),
    )  # fmt: skip
    assert influx.service.mounts == (Mount("volume", "influx-volume-5275127", "/var/lib/influxdb2"),)
    assert influx.service.labels["traefik.http.routers.influx.rule"] == "Host(`influx.example.org`)"
    assert influx.service.constraints == ("node.labels.role==storage",)
    assert influx.service.healthcheck is None, "the zeroes that are read back are no health check"
    assert "service.reference" not in rules(estate)
    fluent = item(estate, "service", "fluent-service-219cc48").service
    assert fluent is not None
    assert (fluent.mode, fluent.replicas, fluent.user, fluent.entrypoint) == ("global", 0, "root", ("sh", "/startup.sh"))
    assert fluent.ports == (Port(24224, 24224, "tcp", "host"),)


def test_a_network_that_only_another_stack_knows_is_named_by_its_id() -> None:
    estate = read(layer_2(3))
    influx = item(estate, "service", "influx")
    assert influx.completeness == "partial"
    assert any("ingressnetworkofanotherst" in remark.message for remark in influx.remarks if remark.rule == "service.reference")


def test_everything_a_service_may_say_is_taken_over() -> None:
    made = Deployment("platform", "prod")
    made.service(
        "api", "prod-api-1234567", "example/core:main", networks=("n",),
        container={"hostname": "{{.Node.Hostname}}", "dir": "/app", "stopSignal": "SIGINT", "readOnly": True, "stopGracePeriod": "1m30s", "args": ["run"],
                   "secrets": [{"secretId": "s" * 25, "secretName": "prod-secrets-db", "fileName": "/app/secret/db.txt", "fileMode": 292}],
                   "configs": [{"configId": "c" * 25, "configName": "prod-config", "fileName": "/app/config.json"}], "labels": [{"label": "a", "value": "b"}]},
        task={"resources": {"limits": {"memoryBytes": 268435456, "nanoCpus": 250000000}, "reservation": {"memoryBytes": 1024}},
              "placement": {"constraints": ["node.role==manager"], "maxReplicas": 2, "platforms": [{"architecture": "amd64", "os": "linux"}]}},
        spec={"updateConfig": {"parallelism": 0, "failureAction": "pause", "order": "stop-first", "monitor": "5s"}, "endpointSpec": {"mode": "dnsrr"}},
    )  # fmt: skip
    made.resources[-1]["inputs"]["taskSpec"]["containerSpec"]["healthcheck"] = {
        "tests": ["CMD", "ping"],
        "interval": "10s",
        "timeout": "5s",
        "retries": 3,
        "startPeriod": "30s",
    }
    made.resources[-1]["outputs"] = {}
    args = item(read(made), "service", "prod-api-1234567").service
    assert args is not None
    assert (args.hostname, args.working_dir, args.stop_signal, args.read_only, args.stop_grace_s) == (
        "{{.Node.Hostname}}",
        "/app",
        "SIGINT",
        True,
        90,
    )
    assert (args.memory_bytes, args.nano_cpus, args.reserved_memory_bytes, args.max_per_node, args.platforms) == (
        268435456,
        250000000,
        1024,
        2,
        ("linux/amd64",),
    )
    assert (args.update_parallelism, args.failure_action, args.order, args.monitor_s, args.endpoint_mode) == (
        0,
        "pause",
        "stop-first",
        5,
        "dnsrr",
    )
    assert args.healthcheck == Healthcheck(("CMD", "ping"), 10, 5, 3, 30)
    assert [(s.name, s.target, s.mode) for s in args.secrets] == [("prod-secrets-db", "/app/secret/db.txt", 0o444)]
    assert args.configs[0].name == "prod-config"
    assert args.container_labels == {"a": "b"}
    assert (args.restart, args.log_driver, args.log_options) == ("any", "json-file", {"max-size": "5m"})


def test_a_list_encrypted_as_a_whole_leaves_the_service_partial() -> None:
    redis = item(read(layer_2()), "service", "layer2redis-redis-primary-7af3fee")
    assert redis.completeness == "partial"
    assert redis.withheld == {"command": "encrypted with a key that is not here"}
    assert redis.remarks[0].message == "command: value unknown, encrypted with a key that is not here"
    assert redis.service is not None
    assert redis.service.command == ()


def test_one_encrypted_variable_leaves_the_others_readable() -> None:
    telegraf = item(read(layer_2()), "service", "replicated-telegraf-service-77aa88b")
    assert telegraf.service is not None
    assert telegraf.service.environment == {"INFLUX_URL": "http://influx:8086", "INFLUX_TOKEN": "withheld:unknown"}
    assert set(telegraf.withheld) == {"environment.INFLUX_TOKEN"}


def test_the_platform_export_has_configs_and_no_service_and_its_dangling_entries_are_named_and_counted() -> None:
    estate = read(platform())
    assert not estate.of("service")
    assert len([c for c in estate.of("config") if not c.is_leaving]) == 14
    assert len([c for c in estate.of("config") if c.is_leaving]) == 9
    found = rules(estate)
    assert (found["export.dangling-dependency"], found["export.dangling-parent"], found["export.pending-delete"]) == (58, 3, 9)
    summary = next(remark for remark in estate.remarks if remark.rule == "export.integrity")
    assert summary.message == "the state does not hold together: 61 entries lead nowhere: 58 to a dependency, 3 to a parent"
    one = next(remark for remark in estate.remarks if remark.rule == "export.dangling-dependency")
    assert "urn:pulumi:prod::platform::docker:index/secret:Secret::prod-secrets-0" in one.message
    assert one.where.startswith("platform.json urn:pulumi:prod::platform::docker:index/serviceConfig")
    reconciles(estate)


def test_the_plaintext_secrets_of_2022_are_quarantined_and_counted() -> None:
    estate = read(layer_1_of_2022())
    assert len(estate.of("service")) == 3
    assert CANARY not in repr(estate)
    total = next(remark for remark in estate.remarks if "79 secrets" in remark.message)
    assert "rotate" in total.hint
    vault = item(estate, "service", "vault")
    assert vault.service is not None
    assert vault.service.environment["VAULT_TOKEN"].startswith("withheld:")
    assert vault.service.environment["VAULT_ADDR"] == "http://0.0.0.0:8200"
    note = next(remark for remark in vault.remarks if remark.rule == "secret.plaintext")
    assert note.message.startswith("environment.VAULT_TOKEN: ")
    assert vault.service.environment["VAULT_TOKEN"] in note.message
    named = [remark for remark in estate.all_remarks() if remark.rule == "secret.plaintext" and "kept as withheld:" in remark.message]
    assert len({remark.message.rpartition(" ")[2] for remark in named}) == 78, "76 generated ones, a token and a document"
    reconciles(estate)


def test_a_config_with_a_secret_in_it_keeps_nothing_of_its_content() -> None:
    config = item(read(layer_1_of_2022()), "config", "vault-config-0a1b2c3")
    assert "text" not in config.facts
    assert config.part is not None
    assert config.part.withheld
    assert [remark.message.split(";")[0] for remark in config.remarks] == [
        "line 2: access_key: looks like an access key id", "line 3: secret_key: its name says that it is secret",
    ]  # fmt: skip


def test_a_clean_config_is_kept_whole() -> None:
    config = item(read(layer_2()), "config", "fluent-startup-script-fbacb0d")
    assert config.facts["text"] == "gem install fluent-plugin-grafana-loki\nexec fluentd\n"
    assert config.completeness == "full"


@pytest.mark.parametrize(("data", "problem"), [("%%%", "no base64"), (encoded("x" * 300_000), "larger than"), (7, "no text")])
def test_a_config_that_cannot_be_decoded_is_known_by_name(data: Any, problem: str) -> None:
    made = Deployment("platform", "prod")
    made.config("c", "c-1234567", "")
    made.resources[-1]["outputs"]["data"] = made.resources[-1]["inputs"]["data"] = data
    found = item(read(made), "config", "c-1234567")
    assert (found.completeness, found.remarks[0].rule) == ("partial", "config.unreadable")
    assert problem in found.remarks[0].message


def test_a_clear_value_that_looks_secret_is_quarantined_too() -> None:
    made = Deployment("platform", "prod")
    env = {"bot_token": f"{CANARY}12345678", "connstring": f"postgres://a:{CANARY}@db/x", "NODE_ENV": "production"}
    made.service("bot", "prod-bot", "example/bot:1", container={"env": env, "args": ["--password", f"{CANARY}1"]})
    estate = read(made)
    assert CANARY not in repr(estate)
    bot = item(estate, "service", "prod-bot")
    assert set(bot.withheld) == {"environment.bot_token", "environment.connstring", "command.1"}
    assert {remark.rule for remark in bot.remarks} == {"secret.in-clear"}
    assert bot.completeness == "full"


def test_a_secret_in_structure_is_named_although_structure_is_no_row() -> None:
    made = Deployment("layer_2", "layer_2")
    made.add("pulumi:providers:postgresql", "p", id="1", inputs={"host": "db.example.org", "password": f"{CANARY}-p"})
    estate = read(made)
    assert CANARY not in repr(estate)
    assert [remark.message.split(":")[0] for remark in estate.remarks if remark.rule == "secret.in-clear"] == ["password"]


def test_routes_and_outside_services_are_rows_of_their_own() -> None:
    estate = read(layer_2())
    route = item(estate, "route", "influx")
    assert route.facts["hosts"] == ["influx.example.org"]
    assert (route.facts["port"], route.facts["tls"], route.facts["entrypoints"], route.facts["service"]) == (
        8086,
        True,
        ["websecure"],
        "influx",
    )
    assert item(estate, "route", "grafana").facts["entrypoints"] == []
    assert item(estate, "external", "postgresql db.example.org").completeness == "name"


def test_one_router_name_under_two_protocols_makes_two_routes() -> None:
    made = Deployment("platform", "prod")
    labels = routed("rmq", "management.example.org", 15672) | routed("rmq", "mq.example.org", 5672, protocol="tcp")
    made.service("rmq", "rmq", "rabbitmq:3.9", labels=labels)
    assert [(r.name, r.facts["protocol"], r.facts["port"]) for r in read(made).of("route")] == [
        ("rmq", "http", 15672),
        ("rmq", "tcp", 5672),
    ]


def test_components_providers_and_references_are_structure_and_counted() -> None:
    estate = read(layer_2())
    assert estate.structure["layer_2.json"] == {
        "pulumi:pulumi:Stack": 1, "pulumi:providers:docker": 1, "pulumi:pulumi:StackReference": 1, "SprocketBot:Monitoring": 1,
        "random:index/randomPassword:RandomPassword": 1, "pulumi:providers:postgresql": 1,
    }  # fmt: skip


def test_a_type_nobody_knows_is_a_row_to_be_decided() -> None:
    made = Deployment("platform", "prod")
    made.add("cloudflare:index/record:Record", "www", id="1", inputs={"name": "www"})
    estate = read(made)
    assert [(i.name, i.remarks[0].rule) for i in estate.of("external")] == [("www", "export.unknown-type")]
    reconciles(estate)


def test_a_pending_operation_is_remarked_with_its_urn() -> None:
    made = layer_2()
    made.pending = [{"resource": {"urn": made.urn("docker:index/service:Service", "new")}, "type": "creating"}, 7]
    found = [remark for remark in read(made).remarks if remark.rule == "export.pending-operation"]
    assert [(remark.message, remark.where.rpartition("::")[2]) for remark in found] == [
        ("creating was not finished", "new"), ("an operation was not finished", "layer_2.json pending_operations[1]"),
    ]  # fmt: skip


def test_a_dangling_provider_is_named() -> None:
    made = Deployment("platform", "prod")
    made.network("n", "n-1234567", "x" * 25, provider="urn:pulumi:prod::platform::pulumi:providers:docker::gone::0000")
    assert rules(read(made))["export.dangling-provider"] == 1


def test_cyclic_parents_are_named_and_end() -> None:
    made = Deployment("platform", "prod")
    a, b = made.urn("x:y:A", "a"), made.urn("x:y:A", "b")
    made.add("x:y:A", "a", custom=False, parent=b)
    made.add("x:y:A", "b", custom=False, parent=a)
    made.add("x:y:A", "c", custom=False, parent=a)
    found = [remark.where for remark in read(made).remarks if remark.rule == "export.cyclic-parent"]
    assert sorted(where.rpartition("::")[2] for where in found) == ["a", "b"]


def test_a_urn_given_twice_is_taken_once() -> None:
    made = Deployment("platform", "prod")
    made.network("n", "n-1234567", "x" * 25)
    made.network("n", "n-7654321", "y" * 25)
    estate = read(made)
    assert [n.name for n in estate.of("network")] == ["n-1234567"]
    assert estate.refused["platform.json"] == {"network": 1}
    assert rules(estate)["export.duplicate-urn"] == 1
    reconciles(estate)


def test_an_export_of_another_organization_or_project_is_remarked() -> None:
    assert rules(read(Deployment("sprocket", "rivals-layer_1"), org="demo"))["export.other-organization"] == 1
    assert not rules(read(Deployment("sprocket", "demo-layer_1"), org="demo"))["export.other-organization"]
    assert rules(read(Deployment("airbyte", "prod"), org="demo"))["export.other-project"] == 1
    assert not read(Deployment("platform", "prod"), org="demo").remarks


def test_resources_of_two_stacks_in_one_file_are_remarked() -> None:
    made = Deployment("platform", "prod")
    made.resources.append({"urn": "urn:pulumi:main::layer_2::x:y:Z::a", "type": "x:y:Z", "custom": False})
    assert rules(read(made))["export.mixed-stacks"] == 1


@pytest.mark.parametrize(
    "row",
    [
        7,
        None,
        [],
        {},
        {"urn": "x", "type": "y"},
        {"urn": "urn:pulumi:a::b::c::d\u0007", "type": "t:u:v"},
        {"type": "docker:index/service:Service"},
    ],
)
def test_a_row_that_is_no_resource_is_counted_and_named(row: Any) -> None:
    made = Deployment("platform", "prod")
    made.resources.append(row)
    estate = read(made)
    assert rules(estate)["export.unreadable"] == 1
    assert "resources[2]" in estate.remarks[0].where
    reconciles(estate)


def test_a_service_with_other_types_than_it_should_have_is_a_remark() -> None:
    made = Deployment("platform", "prod")
    made.service("a", "a-1234567", "x:1", networks=("n",))
    for properties in (made.resources[-1]["inputs"], made.resources[-1]["outputs"]):
        properties["taskSpec"] = {
            "containerSpec": {"image": "x:1", "env": 7, "mounts": "no"},
            "restartPolicy": {"delay": "soon"},
            "networksAdvanceds": {"a": 1},
        }
    found = item(read(made), "service", "a-1234567")
    assert found.completeness == "partial"
    assert all(word in found.remarks[0].message for word in ("environment", "mounts", "restart_delay", "networks"))


def test_a_resource_nested_too_deeply_is_refused_alone() -> None:
    made = Deployment("platform", "prod")
    deep: Any = "x"
    for _ in range(100):
        deep = {"a": deep}
    made.add("docker:index/network:Network", "n", id="x", inputs=deep)
    made.network("m", "m-1234567", "y" * 25)
    estate = read(made)
    assert estate.refused["platform.json"] == {"network": 1}
    assert [n.name for n in estate.of("network")] == ["m-1234567"]
    reconciles(estate)


def test_another_version_is_refused_by_name() -> None:
    with pytest.raises(EstateError, match=r'an export of version "1"'):
        read_export(layer_2().json(version=1), "old.json", KEY)
    with pytest.raises(EstateError, match="version"):
        read_export(json.dumps({"deployment": {"resources": []}}).encode(), "none.json", KEY)


def test_a_truncated_export_is_refused_with_the_byte_where_it_ends() -> None:
    whole = layer_2().json()
    with pytest.raises(EstateError, match=r"ends in the middle, at byte \d{4}\Z"):
        read_export(whole[:9000], "cut.json", KEY)
    with pytest.raises(EstateError, match="not JSON at byte 32"):
        read_export('{"version": 3, "déploiement": {]'.encode(), "broken.json", KEY)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"7", b"null", b'{"version":3}', b'{"version":3,"deployment":[]}', b"\xff\xfe", b'{"version":3,"deployment":{}} x', b"[" * 100_000, b'{"a":' * 100_000])  # fmt: skip
def test_what_is_no_export_is_refused(content: bytes) -> None:
    with pytest.raises(EstateError) as caught:
        read_export(content, "x.json", KEY)
    assert caught.value.hint


def test_a_file_over_the_limit_is_refused_before_it_is_read() -> None:
    class Endless(io.RawIOBase):
        asked = 0

        def read(self, size: int = -1) -> bytes:
            Endless.asked += size
            return b" " * size

    with pytest.raises(EstateError, match="larger than 2 MiB"):
        read_export(Endless(), "huge.json", KEY, limits=Limits(size=2 * 1024 * 1024))  # type: ignore[arg-type]
    assert Endless.asked <= 2 * 1024 * 1024 + 1


def test_more_resources_than_are_read_is_a_refusal() -> None:
    with pytest.raises(EstateError, match="more than 10 resources"):
        read_export(layer_2().json(), "many.json", KEY, limits=Limits(rows=10))


def test_the_remarks_of_one_rule_are_capped_and_the_rest_counted() -> None:
    estate = read(platform(dangling=500))
    assert rules(estate)["export.dangling-dependency"] == 201
    assert any(remark.message == "and 300 more of the same kind" for remark in estate.remarks)


@given(st.data())
def test_a_mutated_export_never_fails_with_anything_but_an_error_in_words(data: Any) -> None:
    content = bytearray(layer_1_of_2022().json())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        estate = read_export(bytes(content), "x.json", KEY)
    except SprocketError as error:
        assert CANARY not in str(error) + error.hint
    else:
        assert repr(gather([estate]))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12) | st.builds(ciphertext) | st.builds(plaintext, st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "labels", "label", "value", "taskSpec", "containerSpec", "env", "args", "data", "mounts", "mode"]), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@given(_JSON, st.sampled_from(["service:Service", "network:Network", "serviceConfig:ServiceConfig", "secret:Secret", "volume:Volume"]))
def test_any_properties_of_a_resource_are_read(properties: Any, kind: str) -> None:
    made = Deployment("platform", "prod")
    made.add(f"docker:index/{kind}", "a", id="1", inputs=properties, outputs=properties)
    estate = read(made)
    assert len([i for i in estate.items if i.kind != "route"]) == 1
    reconciles(estate)


@given(
    st.text(alphabet="abcdefghijkmnpqrstuvwxyz23456789", min_size=12, max_size=30),
    st.sampled_from(["env", "args", "data", "labels", "other"]),
)
def test_no_marked_secret_is_ever_in_the_estate(value: str, place: str) -> None:
    made = Deployment("platform", "prod")
    value = f"{value}Q7"
    held: dict[str, Any] = {
        "env": {"container": {"env": plaintext({"HARMLESS": value})}}, "args": {"container": {"args": plaintext([value])}}, "labels": {"labels": {"a": value}},
    }.get(place, {})  # fmt: skip
    if place == "labels":
        made.service("s", "s-1234567", "x:1", labels={"a": value})
        made.resources[-1]["outputs"]["labels"] = made.resources[-1]["inputs"]["labels"] = plaintext([{"label": "a", "value": value}])
    elif held:
        made.service("s", "s-1234567", "x:1", **held)
    else:
        made.add(
            "docker:index/secret:Secret" if place == "data" else "cloudflare:index/x:X",
            "s",
            id="1",
            inputs={"data": plaintext(value)},
            outputs={},
        )
    assert value not in repr(read(made))
