"""What a person can do with organizations and needs: keyword-only, typed, one transaction each, the only writers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from orgs import access
from orgs.grammar import file_name, shown
from orgs.grammar import slug as check_slug
from orgs.models import MAX_ATTACHMENT, Attachment, AuditEvent, Membership, NeedsRevision, Organization
from orgs.names import refuse_taken_names
from orgs.needs import Needs
from orgs.needs_file import needs_digest, needs_from, parse_needs, write_needs
from sprocket_v2.errors import NeedsError, SprocketError


def create_organization(*, slug: str, name: str, actor: Any, via: str = "web") -> Organization:  # noqa: ANN401 - a user
    """Make an organization; whoever makes it owns it.

    Raises:
        NeedsError: the slug is not one, or taken.
    """
    try:
        check_slug(slug)
    except ValueError as error:
        message, _, hint = str(error).partition(": ")
        raise NeedsError(message, hint=hint, where="slug") from None
    try:
        with transaction.atomic():
            org = Organization.objects.create(slug=slug, name=name.strip()[:60] or slug)
            if actor is not None:
                Membership.objects.create(organization=org, user=actor, roles=["owner"])
            record(org=org, actor=actor, what="organization created", detail=slug, via=via)
    except IntegrityError:
        raise NeedsError(f"{shown(slug)} is taken", hint="choose another short name", where="slug") from None
    return org


def get_organization(slug: str) -> Organization:
    """An organization by slug, for the command line.

    Raises:
        SprocketError: there is none.
    """
    org = Organization.objects.filter(slug=slug).first()
    if org is None:
        raise SprocketError(f"no organization {shown(slug)}", hint="`sprocket org list` names them", where="slug")
    return org


def all_organizations() -> Iterable[Organization]:
    """Every organization, by slug; for the command line and the reconciler."""
    return Organization.objects.all()


def set_needs(
    *,
    org: Organization,
    actor: Any,  # noqa: ANN401
    text: str = "",
    data: Mapping[str, Any] | None = None,
    message: str = "",
    source: str = "form",
    via: str = "web",
) -> NeedsRevision:
    """Add a revision, from YAML text or from a form's data. Equal answers make no new revision.

    Raises:
        NeedsError: every problem, each with key, line and remedy. DeniedError: the person may not edit.
    """
    access.require(actor, org, "edit")
    needs = parse_needs(text, source) if data is None else needs_from(data, source)
    if needs.slug != org.slug:
        raise NeedsError(
            f"slug: the needs say {shown(needs.slug)}, this organization is {shown(org.slug)}",
            hint="a slug never changes; correct it, or create another organization",
            where=source,
        )
    with transaction.atomic():
        last = current_needs(org)
        digest = needs_digest(needs)
        if last and last.digest == digest:
            return last
        refuse_taken_names(needs.access, _access_of_others(org))
        Organization.objects.filter(pk=org.pk).update(name=needs.name)
        number = (NeedsRevision.objects.for_org(org).aggregate(last=Max("number"))["last"] or 0) + 1
        revision = NeedsRevision.objects.create(
            organization=org,
            number=number,
            text=text or write_needs(needs),
            data=needs.model_dump(mode="json"),
            digest=digest,
            message=message.strip()[:200],
            author=actor,
        )
        record(org=org, actor=actor, what="needs set", detail=f"revision {number}", via=via)
    org.refresh_from_db()
    return revision


def _access_of_others(org: Organization) -> list[Mapping[str, Any]]:
    """How each other organization is reached, by its newest needs. All rows are held until the end of the transaction, so that of
    two that ask for one name at the same moment the second sees the first."""
    list(Organization.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
    newest = NeedsRevision.objects.exclude(organization=org).order_by("organization_id", "-number")
    rows: dict[int, Any] = {}
    for organization, access_data in newest.values_list("organization_id", "data__access"):
        rows.setdefault(organization, access_data)
    return [data for data in rows.values() if isinstance(data, Mapping)]


def current_needs(org: Organization) -> NeedsRevision | None:
    """The newest revision."""
    revision: NeedsRevision | None = NeedsRevision.objects.for_org(org).order_by("-number").first()
    return revision


def needs_of(revision: NeedsRevision) -> Needs:
    """A revision's answers. Stored answers that this release no longer takes are errors that say so."""
    return needs_from(revision.data, f"needs revision {revision.number}")


def attach(*, org: Organization, name: str, content: bytes, actor: Any) -> Attachment:  # noqa: ANN401
    """Keep a file the needs name.

    Raises:
        NeedsError: the name is no plain file name, or the file is too large.
    """
    access.require(actor, org, "edit")
    try:
        file_name(name)
    except ValueError as error:
        raise NeedsError(str(error), hint="rename the file", where="file") from None
    if len(content) > MAX_ATTACHMENT:
        raise NeedsError(
            f"{name} has {len(content) // 1024} KiB, the most is {MAX_ATTACHMENT // 1024} KiB",
            hint="begin with a schema-only dump, then restore the rest as RUNBOOK.md says",
            where="file",
        )
    digest = hashlib.sha256(content).hexdigest()
    known: Attachment | None = Attachment.objects.for_org(org).filter(name=name).first()
    if known and known.sha256 == digest:
        return known
    return Attachment.objects.create(organization=org, name=name, sha256=digest, content=content, author=actor)


def attachments_of(org: Organization) -> dict[str, bytes]:
    """The newest file of each name."""
    found: dict[str, bytes] = {}
    for row in Attachment.objects.for_org(org).order_by("id"):
        found[row.name] = bytes(row.content)
    return found


def set_roles(*, org: Organization, user: Any, roles: Iterable[str], actor: Any, via: str = "web") -> Membership | None:  # noqa: ANN401
    """Give somebody these roles, or none to let them go. The last owner stays.

    Raises:
        DeniedError: the actor may not. SprocketError: unknown role, or nobody would own the organization.
    """
    access.require(actor, org, "members")
    wanted = [role for role in access.ROLES if role in set(roles)]
    unknown = sorted(set(roles) - set(access.ROLES))
    if unknown:
        raise SprocketError(f"{shown(unknown[0])} is no role", hint=f"one of {', '.join(access.ROLES)}", where="roles")
    with transaction.atomic():
        others = Membership.objects.for_org(org).exclude(user=user)
        if "owner" not in wanted and not any("owner" in other.roles for other in others):
            raise SprocketError("nobody would own the organization", hint="make somebody else owner first", where=org.slug)
        record(org=org, actor=actor, what="roles set", detail=f"{user.get_username()}: {', '.join(wanted) or 'none'}", via=via)
        if not wanted:
            Membership.objects.for_org(org).filter(user=user).delete()
            return None
        membership, _ = Membership.objects.update_or_create(organization=org, user=user, defaults={"roles": wanted})
    return membership


def delete_organization(*, org: Organization, actor: Any, via: str = "web") -> None:  # noqa: ANN401
    """Forget an organization with all its rows. Its deployment has to be gone before; provisioning sees to that."""
    access.require(actor, org, "destroy")
    with transaction.atomic():
        record(org=None, actor=actor, what="organization deleted", detail=org.slug, via=via)
        org.delete()


def record(*, org: Organization | None, actor: Any, what: str, detail: str = "", via: str = "web") -> None:  # noqa: ANN401
    """Add to the audit trail."""
    AuditEvent.objects.create(organization=org, user=actor, what=what, detail=detail[:200], via=via)
