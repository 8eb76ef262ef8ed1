"""The pages about blueprints: form there and back, errors beside their question, comparison, escaping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from blueprints.actions import compare_blueprints, know_the_machine, make_blueprint, rendering_of_row, trace_file
from blueprints.catalog import load_catalog
from blueprints.forms import Group, answers_from, groups_for, without_defaults
from blueprints.models import Blueprint
from blueprints.resolve import resolve
from orgs import actions as org_actions
from orgs.models import NeedsRevision, Organization
from orgs.needs_file import needs_from, parse_needs
from sprocket_v2.errors import SprocketError

HOST = {"HTTP_HOST": "localhost"}
DEMO = (Path(__file__).resolve().parents[2] / "orgs" / "demo.yaml").read_text()
SCHEMA = b"select 1;\n"


def _posted(groups: tuple[Group, ...]) -> dict[str, list[str]]:
    """What a browser sends for a form as it was shown."""
    sent: dict[str, list[str]] = {}
    for group in groups:
        if group.switch and group.switch.value:
            sent[group.switch.key] = ["on"]
        for question in group.questions:
            if question.disabled:
                continue
            if question.kind == "yes-no":
                sent |= {question.key: ["on"]} if question.value else {}
            elif question.kind == "several":
                sent[question.key] = list(question.value)
            else:
                sent[question.key] = ["" if question.value is None else str(question.value)]
    return sent


EXTRA = "options:\n  redis:\n    memory_mib: 256\n"
LAN = "  lan:\n    host: 192.168.1.5\n"


@pytest.mark.parametrize(
    "text", [DEMO, DEMO + "features:\n  match_statistics: true\n", DEMO + EXTRA, DEMO + LAN], ids=["demo", "feature", "option", "two ways"]
)
def test_a_form_sent_back_as_it_was_shown_gives_equal_needs(text: str) -> None:
    needs = parse_needs(text)
    catalog = load_catalog()
    components = tuple(c.name for c in resolve(needs, catalog, None, {"demo-schema.sql": SCHEMA}).components)
    groups = groups_for(needs.model_dump(mode="json"), catalog, components, {})
    data = without_defaults({**answers_from(_posted(groups), groups), "slug": needs.slug}, catalog, components)
    assert needs_from(data, "form") == needs


@pytest.fixture
def with_needs(demo: Organization, alice: Any) -> Organization:
    """The demo organization with its needs and its file."""
    org_actions.attach(org=demo, name="demo-schema.sql", content=SCHEMA, actor=alice)
    org_actions.set_needs(org=demo, actor=alice, text=DEMO)
    return demo


def test_a_wrong_answer_is_marked_and_nothing_is_saved(with_needs: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    catalog = load_catalog()
    groups = groups_for(parse_needs(DEMO).model_dump(mode="json"), catalog, tuple(catalog.components), {})
    sent = {**_posted(groups), "access.localhost.host": ["bad`host.localhost"], "expected_members": ["many"]}
    answer = client.post("/o/demo/needs/save", sent, **HOST)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "Nothing was saved" in text
    assert "is not a host name" in text
    assert "bad`host.localhost" in text, "what was typed is still there"
    assert NeedsRevision.objects.for_org(with_needs).count() == 1


def test_the_panel_says_services_reasons_and_what_to_bring(with_needs: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    text = client.get("/o/demo/needs", **HOST).content.decode()
    for words in ("2176 MiB in all", "because: Database = deployment", "Discord client ID", "http://api.demo.localhost:8080/login"):
        assert words in text


def test_imported_needs_name_key_line_and_remedy_and_keep_the_text(demo: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    answer = client.post("/o/demo/needs/import", {"text": DEMO + "colour: blue\n"}, **HOST)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "colour: unknown key" in text
    assert "colour: blue" in text
    assert client.post("/o/demo/needs/import", {"text": DEMO}, **HOST).status_code == 302


def test_a_blueprint_is_made_once_and_holds_the_machines_image_ids(with_needs: Organization, alice: Any) -> None:
    from provisioning.docker_door import local_image_ids
    from provisioning.secret_store import secret_versions

    know_the_machine(
        image_ids=lambda names: {name: "sha256:" + "a" * 64 for name in names if "redis" in name},
        secret_versions=lambda _org: {"jwt-secret": 4},
    )
    try:
        row = make_blueprint(org=with_needs, actor=alice)
        assert make_blueprint(org=with_needs, actor=alice).pk == row.pk
        rendering = rendering_of_row(row)
        assert rendering.lock["images"]["redis"]["local_id"] == "sha256:" + "a" * 64
        assert rendering.lock["secrets"]["jwt-secret"] == 4
        assert "demo_api_jwt-secret_v4" in rendering.files["stack.yml"]
    finally:
        know_the_machine(image_ids=local_image_ids, secret_versions=secret_versions)


def test_blueprints_of_two_organizations_are_not_compared(with_needs: Organization, other: Organization, alice: Any) -> None:
    mine = make_blueprint(org=with_needs, actor=alice)
    theirs = Blueprint(organization=other, number=1, digest="x")
    with pytest.raises(SprocketError, match="different organizations"):
        compare_blueprints(mine, theirs)


def test_a_comparison_says_the_four_answers(with_needs: Organization, alice: Any, client: Client) -> None:
    make_blueprint(org=with_needs, actor=alice)
    org_actions.set_needs(org=with_needs, actor=alice, text=DEMO + "features:\n  match_statistics: true\n")
    make_blueprint(org=with_needs, actor=alice)
    client.force_login(alice)
    text = client.get("/o/demo/compare", **HOST).content.decode()
    for words in (
        "From blueprint 1 to 2",
        "Adds InfluxDB and Analytics.",
        "No interruption.",
        "Match statistics over time",
        "derived files",
    ):
        assert words in text
    assert "side by side" in text.lower()
    assert client.get("/o/demo/compare?view=side", **HOST).status_code == 200


def test_a_files_page_says_on_every_line_where_it_comes_from(with_needs: Organization, alice: Any, client: Client) -> None:
    row = make_blueprint(org=with_needs, actor=alice)
    client.force_login(alice)
    assert "lines?path=config/" not in client.get("/o/demo/blueprints/1", **HOST).content.decode(), "slashes are quoted"
    text = client.get("/o/demo/blueprints/1/lines?path=config/redis/redis.conf", **HOST).content.decode()
    file = row.files.get(path="config/redis/redis.conf").text
    assert text.count("<li id=") == len(file.splitlines()), "as many lines as the file has"
    assert 'title="redis · templates/components/redis/config/redis.conf.j2:10 · because every deployment' in text
    assert 'hx-get="/o/demo/blueprints/1/line?path=config%2Fredis%2Fredis.conf&amp;line=11"' in text
    panel = client.get("/o/demo/blueprints/1/line?path=config/redis/redis.conf&line=11", **HOST).content.decode()
    whole = client.get("/o/demo/blueprints/1/lines?path=config/redis/redis.conf&line=11", **HOST).content.decode()
    for words in ("Line 11", "templates/components/redis/config/redis.conf.j2:10", "API needs it", "<code>options.redis.memory_mib</code>"):
        assert words in panel
        assert words in whole, "the same without script"
    assert "<html" not in panel


@pytest.mark.parametrize(
    "query", ["", "?path=nothing.yml", "?path=stack.yml&line=99999", "?path=stack.yml&line=x", "?path=../stack.yml&line=1"]
)
@pytest.mark.parametrize("page", ["line", "lines"])
def test_a_line_or_file_that_is_not_there_is_404(with_needs: Organization, alice: Any, client: Client, page: str, query: str) -> None:
    make_blueprint(org=with_needs, actor=alice)
    client.force_login(alice)
    assert client.get(f"/o/demo/blueprints/1/{page}{query}", **HOST).status_code == 404


def test_every_file_of_a_stored_blueprint_can_be_traced(with_needs: Organization, alice: Any) -> None:
    row = make_blueprint(org=with_needs, actor=alice)
    for file in row.files.all():
        assert "".join(f"{origin.text}\n" for origin in trace_file(row, file.path)) == file.text


def test_lines_of_a_file_that_would_now_be_another_are_not_explained(with_needs: Organization, alice: Any, client: Client) -> None:
    row = make_blueprint(org=with_needs, actor=alice)
    org_actions.attach(org=with_needs, name="demo-schema.sql", content=b"select 2;\n", actor=alice)
    with pytest.raises(SprocketError, match="made by other templates or with another file"):
        trace_file(row, "config/postgres/starting-data.sql")
    client.force_login(alice)
    text = client.get("/o/demo/blueprints/1/lines?path=config/postgres/starting-data.sql", **HOST).content.decode()
    assert "made by other templates or with another file" in text
    assert "select 1;" in text
    panel = client.get("/o/demo/blueprints/1/line?path=config/postgres/starting-data.sql&line=1", **HOST)
    assert "make a new blueprint" in panel.content.decode()


def test_a_hostile_name_is_text_on_every_page(demo: Organization, alice: Any, client: Client) -> None:
    name = "<script>alert(1)</script> `x` {{ 7*7 }}"
    org_actions.attach(org=demo, name="demo-schema.sql", content=SCHEMA, actor=alice)
    org_actions.set_needs(org=demo, actor=alice, text=DEMO.replace("Demo League", f'"{name}"'))
    make_blueprint(org=demo, actor=alice)
    client.force_login(alice)
    for path in (
        "",
        "o/demo/",
        "o/demo/needs",
        "o/demo/compare",
        "o/demo/blueprints/1",
        "o/demo/blueprints/1/lines?path=RUNBOOK.md",
        "o/demo/people",
    ):
        text = client.get(f"/{path}", **HOST).content.decode()
        assert "<script>alert" not in text
        assert "49" not in text.split("&lt;script&gt;")[-1][:60]
