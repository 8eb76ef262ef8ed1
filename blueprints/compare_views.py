"""The page that explains a simplification: two estates side by side, in a town hall's words."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from blueprints.actions import rendering_of_row
from blueprints.catalog import Catalog, load_catalog
from blueprints.estate.compare import Side, compare_estates
from blueprints.estate.sides import reference_side, side_of_ledger, side_of_rendering
from blueprints.estate_actions import ledger_of
from blueprints.migration.rules import read_rules
from blueprints.models import Blueprint
from orgs import access
from orgs.models import Organization
from orgs.needs import Needs
from sprocket_v2.errors import SprocketError

DEFAULT = str(Needs.model_fields["profile"].default)


def estates_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """Any two of: an imported estate, a blueprint, another organization's, an example of a generation."""
    catalog = load_catalog()
    choices = dict(_choices(request, org, catalog))
    chosen = [request.GET.get(name, default) for name, default in (("a", _first(choices)), ("b", _second(choices)))]
    context = {"org": org, "choices": choices, "a": chosen[0], "b": chosen[1], "comparison": None, "problem": None}
    try:
        sides = [_side(org, key, choices, catalog) for key in chosen]
        context["comparison"] = compare_estates(sides[0], sides[1], read_rules())
    except SprocketError as error:
        context["problem"] = error
    return render(request, "blueprints/compare_estates.html", context)


def _choices(request: HttpRequest, org: Organization, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Key -> words of everything this person may look at."""
    for name in sorted(catalog.profiles, key=lambda name: not catalog.profiles[name].has_layers):
        if catalog.profiles[name].has_layers or name == DEFAULT:
            yield f"profile:{name}", f"example: {catalog.profiles[name].title}"
    if ledger_of(org) is not None:
        yield f"estate:{org.slug}", f"{org.name}: what was imported"
    for row in Blueprint.objects.for_org(org)[:50]:
        yield f"blueprint:{org.slug}/{row.number}", f"{org.name}: blueprint {row.number}"
    for other in Organization.objects.exclude(pk=org.pk):
        newest = Blueprint.objects.for_org(other).first()
        if newest is not None and access.may(request.user, other, "read"):
            yield f"blueprint:{other.slug}/{newest.number}", f"{other.name}: blueprint {newest.number}"


def _side(org: Organization, key: str, choices: dict[str, str], catalog: Catalog) -> Side:
    """What a key stands for. Only what is among the choices is looked at, so nobody sees another organization's by its name."""
    kind, _, name = key.partition(":")
    if key not in choices:
        raise SprocketError(f"{key[:60]!r} cannot be compared", hint="choose from the lists", where="compare")
    if kind == "profile":
        return reference_side(name, catalog)
    if kind == "estate":
        ledger = ledger_of(org)
        if ledger is not None:
            return side_of_ledger(ledger, choices[key], catalog)
    slug, _, number = name.partition("/")
    row = Blueprint.objects.filter(organization__slug=slug, number=int(number)).get()
    return side_of_rendering(rendering_of_row(row), choices[key])


def _first(choices: dict[str, str]) -> str:
    return next((key for key in choices if key.startswith("estate:")), next(iter(choices)))


def _second(choices: dict[str, str]) -> str:
    return next((key for key in choices if key.startswith("blueprint:")), f"profile:{DEFAULT}")
