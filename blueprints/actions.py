"""What a person can do with blueprints: make one of the newest needs, look at it, compare two. The only writers of its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Max

from blueprints.catalog import TEMPLATES, Catalog, load_catalog
from blueprints.diff import Comparison, compare
from blueprints.estate.bundle import adopted_bundle
from blueprints.estate.store import read_estate
from blueprints.lock import Lock, LockedImage, read_lock
from blueprints.models import Blueprint, BlueprintFile
from blueprints.render import render, render_part
from blueprints.rendering import Rendering
from blueprints.resolve import Resolution, resolve
from blueprints.trace import LineOrigin, trace
from orgs import access
from orgs.actions import attachments_of, current_needs, needs_of, record
from orgs.models import NeedsRevision, Organization
from orgs.needs import Needs
from orgs.needs_file import needs_digest
from sprocket_v2.errors import EstateError, NeedsError, RenderError, SprocketError

# What the machine that deploys knows of images and secrets. Provisioning registers them at start, since it looks to the left and
# this package does not look to the right.
ImageIds = Callable[[list[str]], dict[str, str]]
SecretVersions = Callable[[Organization], dict[str, int]]
_image_ids: list[ImageIds] = []
_secret_versions: list[SecretVersions] = []


def know_the_machine(*, image_ids: ImageIds, secret_versions: SecretVersions) -> None:
    """Register where local image ids and secret versions come from. Called once, by provisioning."""
    _image_ids[:] = [image_ids]
    _secret_versions[:] = [secret_versions]


def resolve_needs(*, org: Organization, needs: Needs, lock: Lock | None = None) -> Resolution:
    """A resolution of these needs with the organization's files and secret versions; asks nobody for image ids."""
    return resolve(needs, load_catalog(), lock or _lock(org), attachments_of(org))


def draw(*, org: Organization, needs: Needs) -> Rendering:
    """A rendering of these needs as they would be deployed on this machine. Leaves no row."""
    catalog = load_catalog()
    attachments = attachments_of(org)
    if needs.estate:
        return draw_adopted(needs, attachments, catalog)
    lock = _lock(org)
    first = resolve(needs, catalog, lock, attachments)
    return render(resolve(needs, catalog, _with_ids(lock, first), attachments), catalog)


def draw_adopted(needs: Needs, attachments: Mapping[str, bytes], catalog: Catalog) -> Rendering:
    """The rendering of an estate that was taken over: what its record says runs.

    Raises:
        EstateError: the record is missing, or is none.
    """
    content = attachments.get(str(needs.estate))
    if content is None:
        raise EstateError(f"the record {needs.estate} is not attached", hint="import the estate again", where="estate")
    titles = {name: manifest.title for name, manifest in catalog.components.items()}
    estate = read_estate(content.decode(), str(needs.estate))
    return adopted_bundle(needs, needs_digest(needs), catalog.release, estate, partial(render_part, catalog.root), titles)


def draw_newest(*, org: Organization) -> Rendering:
    """A rendering of the newest needs. Leaves no row."""
    return draw(org=org, needs=needs_of(_newest_needs(org)))


def make_blueprint(*, org: Organization, actor: Any, revision: NeedsRevision | None = None, via: str = "web") -> Blueprint:  # noqa: ANN401
    """Render needs and keep the result. The same rendering makes no second blueprint.

    Raises:
        DeniedError, NeedsError, ResolveError, RenderError.
    """
    access.require(actor, org, "propose")
    revision = revision or _newest_needs(org)
    rendering = draw(org=org, needs=needs_of(revision))
    with transaction.atomic():
        last = newest_blueprint(org)
        if last and last.digest == rendering.digest:
            return last
        number = (Blueprint.objects.for_org(org).aggregate(last=Max("number"))["last"] or 0) + 1
        row = Blueprint.objects.create(
            organization=org,
            number=number,
            needs_revision=revision,
            digest=rendering.digest,
            template_release=rendering.blueprint["template_release"],
            author=actor,
        )
        BlueprintFile.objects.bulk_create(
            BlueprintFile(blueprint=row, path=path, text=text, sha256=hashlib.sha256(text.encode()).hexdigest())
            for path, text in rendering.files.items()
        )
        record(org=org, actor=actor, what="blueprint made", detail=f"blueprint {number}", via=via)
    return row


def current_blueprint(*, org: Organization, actor: Any, via: str = "cli") -> Blueprint:  # noqa: ANN401
    """The blueprint of the newest needs, made if it is not there yet."""
    return make_blueprint(org=org, actor=actor, via=via)


def newest_blueprint(org: Organization) -> Blueprint | None:
    """The blueprint made last."""
    row: Blueprint | None = Blueprint.objects.for_org(org).order_by("-number").first()
    return row


def blueprint_of(org: Organization, number: int) -> Blueprint | None:
    """A blueprint by its number."""
    row: Blueprint | None = Blueprint.objects.for_org(org).filter(number=number).first()
    return row


def rendering_of_row(blueprint: Blueprint) -> Rendering:
    """A stored blueprint's files."""
    return Rendering({file.path: file.text for file in blueprint.files.all()})


def trace_file(blueprint: Blueprint, path: str) -> tuple[LineOrigin, ...]:
    """Where each line of a stored blueprint's file comes from: it is rendered anew, locked as it was.

    Raises:
        SprocketError: no such file, or what it was rendered from is not the same any more.
    """
    files = rendering_of_row(blueprint)
    images = {name: LockedImage(i["name"], i["tag"], i["digest"], i["local_id"]) for name, i in files.lock["images"].items()}
    needs = needs_of(blueprint.needs_revision)
    resolution = resolve_needs(org=blueprint.organization, needs=needs, lock=Lock(images, files.lock["secrets"]))
    origins = trace(resolution, load_catalog(), path)
    if "".join(f"{origin.text}\n" for origin in origins) != files.files.get(path):
        raise RenderError(
            f"{path} of blueprint {blueprint.number} was made by other templates or with another file than are here now",
            hint="make a new blueprint, or compare the two",
            where=path,
        )
    return origins


def resolve_newest(*, org: Organization) -> Resolution:
    """A resolution of the newest needs."""
    return resolve_needs(org=org, needs=needs_of(_newest_needs(org)))


def compare_blueprints(old: Blueprint | None, new: Blueprint) -> Comparison:
    """Compare two stored blueprints of one organization, with the needs behind them.

    Raises:
        SprocketError: they belong to different organizations.
    """
    if old is not None and old.organization_id != new.organization_id:
        raise SprocketError("the two blueprints belong to different organizations", hint="compare needs files instead")
    return compare(
        rendering_of_row(old) if old else None,
        rendering_of_row(new),
        needs_of(old.needs_revision) if old else None,
        needs_of(new.needs_revision),
        load_catalog().option_titles(),
    )


def _newest_needs(org: Organization) -> NeedsRevision:
    revision = current_needs(org)
    if revision is None:
        raise NeedsError("no needs yet", hint=f"fill in the form, or `sprocket needs set {org.slug} FILE`", where=org.slug)
    return revision


def _lock(org: Organization) -> Lock:
    lock = read_lock(TEMPLATES / "images.lock.yaml")
    return replace(lock, secrets=_secret_versions[0](org)) if _secret_versions else lock


def _with_ids(lock: Lock, resolution: Resolution) -> Lock:
    """The lock with the ids of images that have no digest and are there locally."""
    loose = {key: image for c in resolution.components for key, image in c.images.items() if image.digest == "unresolved"}
    if not loose or not _image_ids:
        return lock
    ids = _image_ids[0]([image.reference for image in loose.values()])
    found: dict[str, LockedImage] = {
        name: replace(image, local_id=ids[image.reference]) for name, image in loose.items() if image.reference in ids
    }
    return replace(lock, images={**lock.images, **found})
