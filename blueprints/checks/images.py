"""Rules about images: incident 34. Pure."""

from __future__ import annotations

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.services import Service

_MOVING = frozenset({"", "latest", "main", "master", "develop", "dev", "edge", "nightly", "stable", "head"})


def _is_pinned(service: Service) -> bool:
    return "@sha256:" in service.args.image or bool(service.args.image_id)


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def no_image_moves(subject: Subject) -> Answer:
    """A tag that means another image tomorrow, with no digest and no id beside it."""
    if not subject.services:
        return NotApplicable("no service is known")
    return tuple(
        Found(
            service.name,
            f"{service.args.image} has {f'the moving tag {tag}' if (tag := _tag(service.args.image)) else 'no tag'} and no digest",
        )
        for service in subject.services
        if _tag(service.args.image) in _MOVING and not _is_pinned(service)
    )


def public_images_have_digests(subject: Subject) -> Answer:
    """What the whole internet reaches runs exactly the images that were looked at."""
    if not subject.services:
        return NotApplicable("no service is known")
    ways = (subject.blueprint.get("access") or {}).get("ways", ())
    is_public = any(way["way"] == "public" and way.get("certificate") in ("staging", "live") for way in ways)
    if not is_public and (ways or not any(router.resolver for router in subject.routers)):
        return NotApplicable("the internet does not reach it")
    return tuple(Found(service.name, f"{service.args.image} has no digest") for service in subject.services if not _is_pinned(service))


RULES = (
    Rule("I34-moving-image", "warning", "lint", "No image goes by a tag that moves.",
         "`sprocket images lock` writes the digests; a local addition's image is written name:tag@sha256:...", no_image_moves),
    Rule("I34-public-without-digest", "block", "lint", "What the internet reaches is pinned by digest.",
         "`sprocket images lock` on a machine that reaches the registries, then make the blueprint again.", public_images_have_digests),
)  # fmt: skip
