"""Organizations and their needs, as rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from orgs import actions
from orgs.models import Membership, NeedsRevision, Organization
from sprocket_v2.errors import DeniedError, NeedsError, SprocketError

DEMO = (Path(__file__).resolve().parents[2] / "orgs" / "demo.yaml").read_text()


def test_whoever_makes_an_organization_owns_it(charlie: Any) -> None:
    org = actions.create_organization(slug="fresh", name="Fresh League", actor=charlie)
    assert Membership.objects.for_org(org).get().roles == ["owner"]


@pytest.mark.parametrize("slug", ["A", "ab", "a`b", "x" * 21, "-abc", "abc-", "a_b"])
def test_a_slug_outside_the_grammar_is_refused_with_a_remedy(charlie: Any, slug: str) -> None:
    with pytest.raises(NeedsError) as caught:
        actions.create_organization(slug=slug, name="X", actor=charlie)
    assert caught.value.where == "slug"
    assert caught.value.hint
    assert not Organization.objects.filter(slug=slug).exists()


def test_a_slug_is_taken_once(demo: Organization, charlie: Any) -> None:
    with pytest.raises(NeedsError, match="is taken"):
        actions.create_organization(slug="demo", name="Again", actor=charlie)


def test_needs_are_kept_as_written_and_equal_answers_make_no_second_revision(demo: Organization, alice: Any) -> None:
    first = actions.set_needs(org=demo, actor=alice, text=DEMO, message="first")
    again = actions.set_needs(org=demo, actor=alice, text=DEMO + "# another comment\n", message="second")
    assert (first.number, first.text, again.pk) == (1, DEMO, first.pk)
    assert actions.needs_of(first).name == "Demo League"


def test_a_revision_never_changes(demo: Organization, alice: Any) -> None:
    revision = actions.set_needs(org=demo, actor=alice, text=DEMO)
    revision.text = "other"
    with pytest.raises(ValidationError, match="never changes"):
        revision.save()


def test_needs_of_another_slug_are_refused(demo: Organization, alice: Any) -> None:
    with pytest.raises(NeedsError, match="this organization is"):
        actions.set_needs(org=demo, actor=alice, text=DEMO.replace("slug: demo", "slug: other"))
    assert not NeedsRevision.objects.exists()


def test_a_viewer_may_not_set_needs(demo: Organization, charlie: Any) -> None:
    with pytest.raises(DeniedError, match="may not edit"):
        actions.set_needs(org=demo, actor=charlie, text=DEMO)


def test_the_last_owner_stays(demo: Organization, alice: Any, bob: Any) -> None:
    with pytest.raises(SprocketError, match="nobody would own"):
        actions.set_roles(org=demo, user=alice, roles=["viewer"], actor=alice)
    actions.set_roles(org=demo, user=bob, roles=["owner"], actor=alice)
    assert actions.set_roles(org=demo, user=alice, roles=[], actor=bob) is None


def test_files_have_a_plain_name_and_a_limit_and_the_newest_counts(demo: Organization, alice: Any) -> None:
    for name, content, said in (("../x.sql", b"", "not a plain file name"), ("x.sql", b"x" * (481 * 1024), "the most is 480 KiB")):
        with pytest.raises(NeedsError, match=said):
            actions.attach(org=demo, name=name, content=content, actor=alice)
    actions.attach(org=demo, name="x.sql", content=b"one", actor=alice)
    actions.attach(org=demo, name="x.sql", content=b"two", actor=alice)
    assert actions.attachments_of(demo) == {"x.sql": b"two"}
