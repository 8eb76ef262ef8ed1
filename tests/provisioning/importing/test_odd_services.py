"""However a service was made, and whatever it has: the bundle says exactly what was read, and one odd service stops nothing."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blueprints.actions import draw_adopted
from blueprints.catalog import load_catalog
from blueprints.compose import ServiceArgs, read_stack
from blueprints.estate.store import write_estate
from blueprints.layers import layers_of
from orgs.needs import Needs
from provisioning.importing.actions import taken_over
from provisioning.importing.live import LiveEstate, read_live
from provisioning.importing.normalise import differences
from provisioning.providers.swarm.overlay import overlay
from provisioning.providers.swarm.service_spec import args_of, spec_for
from provisioning.providers.wire import changed_paths, service_of, to_plain
from tests.orgs.answers import answers
from tests.provisioning.importing.live_specs import CONFIG, MAKERS, NETWORK, SERVICE_CREATE, STACK_DEPLOY, VOLUME, live
from tests.provisioning.importing.test_live import KEY, Engine

Spec = dict[str, Any]


def _named(target: str) -> str:
    return target


def _id(_kind: str, name: str) -> str:
    return {"prod_cfg": "immx6xw4hu5r"}.get(name, name)


def _read(*specs: Spec, **more: Any) -> LiveEstate:
    objects: dict[str, Any] = {"network": [NETWORK], "volume": [VOLUME], "config": [CONFIG], **more}
    return read_live(Engine(service=[live(spec) for spec in specs], **objects), KEY)


def _said(found: LiveEstate) -> dict[str, ServiceArgs]:
    """The services as the bundle says them."""
    estate, _ = taken_over(found)
    needs = Needs.model_validate({**answers(), "profile": "legacy-22", "estate": "estate.json"})
    rendering = draw_adopted(needs, {"estate.json": write_estate(estate, with_texts=False).encode()}, load_catalog())
    assert layers_of(rendering)
    files = [rendering.files[path] for _, path in rendering.stacks]
    return {key: args for text in files for key, args in read_stack(text, needs.slug, is_estate=True).services.items()}


def _as_declared(args: ServiceArgs, identity: str) -> ServiceArgs:
    return service_of({**to_plain(args), "adopted": identity})


@pytest.mark.parametrize("maker", MAKERS)
def test_a_live_service_survives_arguments_and_back(maker: str) -> None:
    args = args_of(MAKERS[maker], _named, "")
    again = args_of(spec_for(args, _id), _named, "")
    assert again == args


@pytest.mark.parametrize("maker", MAKERS)
def test_every_difference_of_a_makers_service_has_a_rule(maker: str) -> None:
    spec = MAKERS[maker]
    counts, unknown = differences(spec, spec_for(args_of(spec, _named, ""), _id))
    assert unknown == ()
    assert counts


@pytest.mark.parametrize("maker", MAKERS)
def test_a_change_leaves_everything_else_of_a_live_service_as_it_was(maker: str) -> None:
    spec = copy.deepcopy(MAKERS[maker])
    args = args_of(spec, _named, "")
    wanted = service_of({**to_plain(args), "image": "redis:8"})
    changed = overlay(spec, spec_for(args, _id), spec_for(wanted, _id))
    assert changed["TaskTemplate"]["ContainerSpec"].pop("Image") == "redis:8"
    assert spec["TaskTemplate"]["ContainerSpec"].pop("Image") != "redis:8"
    assert changed == spec


@pytest.mark.parametrize("maker", MAKERS)
def test_what_the_program_declares_is_what_reading_by_id_gives(maker: str) -> None:
    found = _read(MAKERS[maker])
    [item] = found.estate.of("service")
    assert item.service is not None
    [said] = _said(found).values()
    assert changed_paths(to_plain(item.service), to_plain(_as_declared(said, item.engine_id))) == []


def _container(spec: Spec) -> Spec:
    inner: Spec = spec["TaskTemplate"]["ContainerSpec"]
    return inner


ODD: dict[str, Callable[[Spec], Any]] = {
    "a volume nobody named": lambda s: _container(s).update(Mounts=[{"Type": "volume", "Target": "/x"}]),
    "a volume of another machine": lambda s: _container(s).update(Mounts=[{"Type": "volume", "Source": "elsewhere", "Target": "/x"}]),
    "the host's own network": lambda s: s["TaskTemplate"].update(Networks=[{"Target": "swarms-host"}]),
    "a time of nanoseconds": lambda s: _container(s).update(StopGracePeriod=1_234_567),
    "a very long time": lambda s: s["TaskTemplate"]["RestartPolicy"].update(Window=1_234_567 * 10**9),
    "a dollar everywhere": lambda s: (
        _container(s).update(User="$u", Dir="/$x", Env=["A=$B ${C} $$"], Hostname="$h", Command=["$$", "${X}"]),
        _container(s).update(Mounts=[{"Type": "bind", "Source": "/a$b", "Target": "/c$d"}]),
        s["Labels"].update({"a": "$x"}),
    ),
    "no policy at all": lambda s: [s.pop("UpdateConfig"), s.pop("RollbackConfig"), s["TaskTemplate"].pop("RestartPolicy")],
    "a restart policy of one word": lambda s: s["TaskTemplate"].update(RestartPolicy={"MaxAttempts": 3}),
    "a variable twice, and one without a value": lambda s: _container(s).update(Env=["A=1", "A=2", "B"]),
    "a port the engine draws": lambda s: s.update(
        EndpointSpec={"Mode": "vip", "Ports": [{"Protocol": "udp", "TargetPort": 80, "PublishMode": "ingress"}]}
    ),
}


@pytest.mark.parametrize("oddity", ODD)
def test_a_service_with_something_odd_is_taken_over_as_it_is(oddity: str) -> None:
    spec = copy.deepcopy(SERVICE_CREATE)
    ODD[oddity](spec)
    found = _read(spec)
    [item] = found.estate.of("service")
    assert item.service is not None
    assert changed_paths(to_plain(item.service), to_plain(_as_declared(_said(found)["cache"], item.engine_id))) == []


def test_the_hosts_network_has_its_name_though_no_list_has_it() -> None:
    spec = copy.deepcopy(SERVICE_CREATE)
    spec["TaskTemplate"]["Networks"] = [{"Target": "swarms-host"}]
    [item] = _read(spec).estate.of("service")
    assert item.service is not None
    assert [network.name for network in item.service.networks] == ["host"]


def test_configs_that_could_not_be_read_do_not_keep_the_services_from_being_taken_over() -> None:
    found = _read(STACK_DEPLOY, config=[])
    assert [item.name for item in _said(found)["prod_web"].configs] == ["prod_cfg"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s.update(Mode={"ReplicatedJob": {}}), "its mode is ReplicatedJob"),
        (lambda s: _container(s).update(Mounts=[{"Type": "npipe", "Source": "a", "Target": "b"}]), "it has a mount of type npipe"),
    ],
)
def test_a_service_that_cannot_be_said_is_left_alone_and_named(change: Callable[[Spec], Any], why: str) -> None:
    odd = copy.deepcopy(SERVICE_CREATE)
    change(odd)
    found = _read(odd, STACK_DEPLOY)
    estate, left = taken_over(found)
    assert [item.name for item in estate.of("service")] == ["prod_web"]
    assert left["service cache"] == why


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda s: s["UpdateConfig"].update(MaxFailureRatio=0.5), "UpdateConfig.MaxFailureRatio"),
        (lambda s: s["RollbackConfig"].update(Parallelism=0), "RollbackConfig.Parallelism"),
        (lambda s: s["RollbackConfig"].update(Order="start-first"), "RollbackConfig.Order"),
        (lambda s: _container(s).update(CapabilityDrop=["CAP_CHOWN"]), "TaskTemplate.ContainerSpec.CapabilityDrop[0]"),
        (lambda s: _container(s).update(Sysctls={"net.core.somaxconn": "1"}), "TaskTemplate.ContainerSpec.Sysctls.net.core.somaxconn"),
        (
            lambda s: _container(s)["Mounts"][0].update(VolumeOptions={"NoCopy": True}),
            "TaskTemplate.ContainerSpec.Mounts[/d].VolumeOptions.NoCopy",
        ),
    ],
)
def test_a_setting_that_is_no_default_is_said_and_never_normalised(spoil: Callable[[Spec], Any], path: str) -> None:
    spec = copy.deepcopy(SERVICE_CREATE)
    spec["UpdateConfig"], spec["RollbackConfig"] = dict(spec["UpdateConfig"]), dict(spec["RollbackConfig"])
    spoil(spec)
    _, unknown = differences(spec, spec_for(args_of(spec, _named, ""), _id))
    assert unknown == (path,)


def test_what_a_network_or_volume_has_beyond_our_values_is_said() -> None:
    network = {**NETWORK, "EnableIPv6": True, "Options": {**NETWORK["Options"], "encrypted": ""}}
    found = _read(SERVICE_CREATE, network=[network], volume=[{**VOLUME, "Driver": "nfs"}])
    said = {re.sub(" is not among.*", "", note.message) for note in found.estate.all_remarks() if note.rule == "import.not-modelled"}
    assert said == {"prod_net: Options.encrypted", "prod_net: EnableIPv6", "data: Driver"}
    plain = _read(SERVICE_CREATE)
    assert not [note for note in plain.estate.all_remarks() if note.rule == "import.not-modelled"]


# What Docker takes in such places; the engine refuses the rest before anybody could import it.
_TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"], whitelist_characters="\n\t\"'\\$#{}:`"), max_size=40)
_KEY = st.text(st.characters(whitelist_categories=["L", "N"], whitelist_characters="_.-"), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(env=st.dictionaries(_KEY, _TEXT, max_size=4), labels=st.dictionaries(_KEY, _TEXT, max_size=4), words=st.lists(_TEXT, max_size=4))
def test_no_text_of_a_service_becomes_structure(env: dict[str, str], labels: dict[str, str], words: list[str]) -> None:
    spec = copy.deepcopy(SERVICE_CREATE)
    _container(spec).update(Env=[f"{key}={value}" for key, value in env.items()], Labels=dict(labels), Args=words)
    spec["Labels"] = dict(labels)
    found = _read(spec)
    [item] = found.estate.of("service")
    assert item.service is not None
    assert changed_paths(to_plain(item.service), to_plain(_as_declared(_said(found)["cache"], item.engine_id))) == []
