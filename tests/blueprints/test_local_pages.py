"""Local additions on pages and on the command line: asked for without script, errors beside their question, marked wherever they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from typer.testing import CliRunner

from blueprints.actions import make_blueprint
from blueprints.catalog import load_catalog
from blueprints.forms import groups_for
from orgs import actions as org_actions
from orgs.actions import current_needs, needs_of
from orgs.models import NeedsRevision, Organization
from orgs.needs import Needs
from orgs.needs_file import parse_needs, write_needs
from sprocket_v2.cli.main import app
from tests.blueprints.test_local import BOTH, FRAGMENT
from tests.blueprints.test_pages import DEMO, HOST, SCHEMA, _posted
from tests.orgs.answers import needs

TEXT = FRAGMENT.decode()


@pytest.fixture
def with_needs(demo: Organization, alice: Any) -> Organization:
    """The demo organization with its needs and its file."""
    org_actions.attach(org=demo, name="demo-schema.sql", content=SCHEMA, actor=alice)
    org_actions.set_needs(org=demo, actor=alice, text=DEMO)
    return demo


def save(client: Client, alice: Any, **more: Any) -> Any:
    """What a browser sends for the demo's form with a few fields filled in."""
    client.force_login(alice)
    catalog = load_catalog()
    groups = groups_for(parse_needs(DEMO).model_dump(mode="json"), catalog, (), {})
    return client.post("/o/demo/needs/save", {**_posted(groups), **more}, **HOST)


def rows(*given: tuple[str, str, str]) -> dict[str, list[str]]:
    """Rows of environment values, with the empty ones a form has."""
    filled = [*given, ("", "", "")]
    return {f"additions.environment.{part}": [row[i] for row in filled] for i, part in enumerate(("service", "name", "value"))}


def newest(org: Organization) -> Needs:
    revision = current_needs(org)
    assert revision is not None
    return needs_of(revision)


def test_rows_and_a_fragment_are_saved_and_shown_again(with_needs: Organization, alice: Any, client: Client) -> None:
    answer = save(client, alice, **rows(("api", "LOG_FORMAT", "json")), **{"additions.services": TEXT.replace("\n", "\r\n")})
    assert answer.status_code == 302, answer.content.decode()
    found = newest(with_needs)
    assert found.additions.environment == {"api": {"LOG_FORMAT": "json"}}
    assert set(found.additions.services) == {"helper"}
    page = client.get("/o/demo/needs", **HOST).content.decode()
    assert 'value="LOG_FORMAT"' in page
    assert "image: redis:7.0-bookworm" in page
    assert page.count('name="additions.environment.name"') == 4, "one row and three empty ones"


def test_emptied_rows_and_text_take_the_additions_out(with_needs: Organization, alice: Any, client: Client) -> None:
    save(client, alice, **rows(("api", "LOG_FORMAT", "json")), **{"additions.services": TEXT})
    save(client, alice, **rows(), **{"additions.services": ""})
    assert not newest(with_needs).additions.is_given


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"additions.services": TEXT + "    privileged: true\n"}, "Line 5: services.helper: privileged is not allowed"),
        ({"additions.services": "services: [\n"}, "not YAML"),
        ({"additions.services": "a: &a [1]\nb: *a\n"}, "anchors and aliases"),
        ({"additions.services": TEXT.replace("helper", "api")}, "an addition changes nothing of it"),
        (rows(("api", "WEB_URL", "x")), "the release sets WEB_URL itself"),
        (rows(("api", "MY_TOKEN", "x")), "is the name of a secret"),
        (rows(("nothing", "A", "x")), "no service of this deployment is called so"),
        (rows(("", "A", "x")), "is no component"),
        ({"additions.file": "gone.yml"}, "gone.yml is not there"),
    ],
)
def test_a_wrong_addition_is_told_beside_its_question_and_nothing_is_saved(
    fields: dict[str, Any], said: str, with_needs: Organization, alice: Any, client: Client
) -> None:
    answer = save(client, alice, **fields)
    assert answer.status_code == 422
    page = answer.content.decode().replace("&quot;", '"')
    group = page[page.index('id="group-additions"') :]
    group = group[: group.index("</fieldset>\n", group.index("upload-fragment"))] if "</fieldset>\n" in group else group
    assert said in group
    assert '<details class="sizes" open>' in page
    assert NeedsRevision.objects.for_org(with_needs).count() == 1


def test_what_was_typed_is_still_there_after_an_error(with_needs: Organization, alice: Any, client: Client) -> None:
    page = save(client, alice, **{"additions.services": "services: # mine\n  x: {}\n"}).content.decode()
    assert "services: # mine" in page


def test_a_file_that_is_brought_along_is_kept_with_its_digest(with_needs: Organization, alice: Any, client: Client) -> None:
    answer = save(client, alice, **{"upload-fragment": SimpleUploadedFile("local.yml", FRAGMENT)})
    assert answer.status_code == 302, answer.content.decode()
    found = newest(with_needs).additions
    assert (found.file, len(found.sha256 or "")) == ("local.yml", 64)
    again = save(client, alice, **{"additions.file": "local.yml"})
    assert again.status_code == 302
    assert newest(with_needs).additions == found


def test_ten_mebibytes_that_are_brought_along_are_refused(with_needs: Organization, alice: Any, client: Client) -> None:
    answer = save(client, alice, **{"upload-fragment": SimpleUploadedFile("local.yml", b"#" * (10 * 1024 * 1024))})
    assert answer.status_code == 422
    assert "the most is 480 KiB" in answer.content.decode()


def test_the_panel_shows_an_addition_and_its_mark(with_needs: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    groups = groups_for(parse_needs(DEMO).model_dump(mode="json"), load_catalog(), (), {})
    page = client.post("/o/demo/needs/panel", {**_posted(groups), "additions.services": TEXT}, **HOST).content.decode()
    assert "Local additions" in page
    assert "badge-local" in page
    assert "added by this organization: helper" in page


def test_blueprint_comparison_and_lines_are_marked(with_needs: Organization, alice: Any, client: Client) -> None:
    make_blueprint(org=with_needs, actor=alice)
    save(client, alice, **rows(("api", "LOG_FORMAT", "json")), **{"additions.services": TEXT})
    make_blueprint(org=with_needs, actor=alice)
    page = client.get("/o/demo/blueprints/2", **HOST).content.decode()
    assert "demo_local_helper" in page
    assert "gets LOG_FORMAT, beside what the release sets" in page
    assert "redis:7.0-bookworm" in page
    assert "badge-local" not in client.get("/o/demo/blueprints/1", **HOST).content.decode()
    comparison = client.get("/o/demo/compare?old=1&new=2", **HOST).content.decode()
    assert comparison.count("badge-local") >= 4, "needs, component, field, file"
    line = client.get("/o/demo/blueprints/2/lines?path=stack.yml", **HOST).content.decode()
    assert "api (local)" in line


@pytest.fixture
def needs_file(tmp_path: Path) -> Path:
    file = tmp_path / "needs.yaml"
    file.write_text(write_needs(needs(additions={**BOTH, "services": {}, "file": "local.yml"})))
    (tmp_path / "local.yml").write_bytes(FRAGMENT)
    return file


def test_explain_says_what_is_local(needs_file: Path) -> None:
    whole = json.loads(CliRunner().invoke(app, ["--json", "explain", str(needs_file)]).stdout)
    parts = {part["name"]: part for part in whole["components"]}
    assert [name for name, part in parts.items() if part["local"]] == ["local"]
    assert parts["api"]["local_environment"] == {"api": ["LOG_FORMAT"]}
    assert parts["local"]["reasons"] == ["added by this organization: helper"]
    assert parts["local"]["inputs"][0]["from"] == "additions"
    from sprocket_v2.cli.output import out

    out.json = False
    words = CliRunner().invoke(app, ["explain", str(needs_file), "api"]).stdout
    assert "api gets LOG_FORMAT (local)" in words
    text = CliRunner().invoke(app, ["render", str(needs_file), "--out", str(needs_file.parent / "bundle")])
    assert text.exit_code == 0
    number = (needs_file.parent / "bundle" / "stack.yml").read_text().splitlines().index('      "LOG_FORMAT": "json" # local') + 1
    line = CliRunner().invoke(app, ["explain", str(needs_file), f"stack.yml:{number}"]).stdout
    assert "api (local)" in line
    assert "additions.environment.api" in line


def test_a_fragment_beside_a_needs_file_goes_with_it(needs_file: Path, demo: Organization, alice: Any) -> None:
    from sprocket_v2.cli.organizations import store_needs

    needs_file.write_text(needs_file.read_text().replace("slug: testers", "slug: demo"))
    store_needs(demo, needs_file, alice, "first")
    assert "local_helper" in make_blueprint(org=demo, actor=alice).files.get(path="stack.yml").text
