"""Pages about what would be deployed: needs form, its panel, history, blueprint, comparison. HTTP only."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from blueprints import actions
from blueprints.catalog import LOCAL, load_catalog
from blueprints.diff_text import side_by_side, unified
from blueprints.diff_words import SIGNS, markdown, summarise
from blueprints.forms import answers_from, groups_for, with_fragment_read, without_defaults
from blueprints.look import look_at
from blueprints.models import Blueprint
from blueprints.trace import LineOrigin, line_of
from orgs.actions import attach, attachments_of, current_needs, set_needs
from orgs.models import NeedsRevision, Organization
from orgs.needs_file import needs_from, parse_needs
from sprocket_v2.errors import NeedsError, SprocketError

_START = {
    "games": ["rocket-league"],
    "access": {"canonical": "localhost"},
    "login": ["discord"],
}


def needs_form(request: HttpRequest, org: Organization) -> HttpResponse:
    """The form, filled with the newest answers."""
    revision = current_needs(org)
    data = revision.data if revision else _first_answers(org)
    return _form_page(request, org, data, {}, revision)


def draft_page(request: HttpRequest, org: Organization, data: dict[str, Any]) -> HttpResponse:
    """The form filled with a draft of answers that nobody has saved yet."""
    return _form_page(request, org, data, {}, current_needs(org), is_draft=True)


def _first_answers(org: Organization) -> dict[str, Any]:
    start = {**_START, "name": org.name, "slug": org.slug}
    start["access"] = {"canonical": "localhost", "localhost": {"host": f"{org.slug}.localhost", "port": 8080}}
    return start


def needs_save(request: HttpRequest, org: Organization) -> HttpResponse:
    """Store the answers as a revision; errors come back beside their questions."""
    data = _posted(request, org)
    upload = request.FILES.get("upload")
    revision = current_needs(org)
    try:
        if upload is not None:
            name = str(upload.name)
            attach(org=org, name=name, content=upload.read(), actor=request.user)
            data.setdefault("database", {}).setdefault("starting_data", {})["file"] = name
        _attach_fragment(request, org, data)
        given = with_fragment_read(data)
        resolution = actions.resolve_needs(org=org, needs=needs_from(given, "form"))
        kept = without_defaults(given, load_catalog(), tuple(c.name for c in resolution.components))
        stored = set_needs(org=org, actor=request.user, data=kept, message=request.POST.get("message", ""))
    except SprocketError as error:
        return _form_page(request, org, data, _errors(error), revision, status=422)
    if revision and stored.number == revision.number:
        messages.info(request, "These are the answers you had already.")
    else:
        messages.success(request, f"Needs saved as revision {stored.number}.")
    return redirect("organization", org.slug)


def _attach_fragment(request: HttpRequest, org: Organization, data: dict[str, Any]) -> None:
    """A fragment that was brought along; the needs hold its digest, so that another file of its name is noticed."""
    upload = request.FILES.get("upload-fragment")
    if upload is not None:
        name, content = str(upload.name), upload.read()
        attach(org=org, name=name, content=content, actor=request.user)
        data.setdefault("additions", {})["file"] = name
    else:
        content = attachments_of(org).get((data.get("additions") or {}).get("file", ""), b"")
    if content:
        data["additions"]["sha256"] = hashlib.sha256(content).hexdigest()


def needs_panel(request: HttpRequest, org: Organization) -> HttpResponse:
    """The panel beside the form, for the answers as they stand now."""
    data = _posted(request, org)
    try:
        look, problem = look_at(actions.resolve_needs(org=org, needs=needs_from(with_fragment_read(data), "form"))), None
    except SprocketError as error:
        look, problem = None, error
    return render(request, "blueprints/_panel.html", {"org": org, "look": look, "problem": problem})


def _posted(request: HttpRequest, org: Organization) -> dict[str, Any]:
    catalog = load_catalog()
    groups = groups_for({}, catalog, tuple(catalog.components), {})
    posted = {key: [str(value) for value in request.POST.getlist(key)] for key in request.POST}
    data = answers_from(posted, groups)
    data["slug"] = org.slug
    revision = current_needs(org)
    if revision and revision.data.get("estate"):
        data["estate"] = revision.data["estate"]  # what was taken over is no question of the form
    asked = {key.split(".")[1] for key in posted if key.startswith("options.")}
    enabled = {name for name, answers in (data.get("options") or {}).items() if answers.get("enabled")}
    data["options"] = {name: answers for name, answers in (data.get("options") or {}).items() if name in asked | enabled}
    return without_defaults(data, catalog, tuple(asked))


def _errors(error: SprocketError) -> dict[str, str]:
    """Dotted name -> message with remedy; what belongs to no field is under the empty name."""
    problems = error.problems if isinstance(error, NeedsError) else (error,)
    found: dict[str, str] = {}
    for problem in problems:
        key, _, rest = problem.message.partition(": ")
        is_key = bool(rest) and " " not in key
        if problem.where.startswith("additions.services:"):  # the text of a fragment: its line is what helps
            line = problem.where.rpartition(":")[2]
            found["additions.services"] = f"{found.get('additions.services', '')} Line {line}: {problem.message}. {problem.hint}.".strip()
            continue
        text = f"{rest if is_key else problem.message}. {problem.hint}".strip(". ") + "."
        name = key if is_key else (problem.where if "." in problem.where and " " not in problem.where and ":" not in problem.where else "")
        found.setdefault(name, text)
    return found


def _form_page(
    request: HttpRequest,
    org: Organization,
    data: dict[str, Any],
    errors: dict[str, str],
    revision: NeedsRevision | None,
    status: int = 200,
    *,
    is_draft: bool = False,
) -> HttpResponse:
    catalog = load_catalog()
    look, problem = None, None
    components: tuple[str, ...] = ()
    try:
        resolution = actions.resolve_needs(org=org, needs=needs_from(with_fragment_read(data), "form"))
        look, components = look_at(resolution), tuple(c.name for c in resolution.components)
    except SprocketError as error:
        problem = None if errors or not revision else error
    groups = groups_for(data, catalog, components, errors)
    errors = {key: text for key, text in errors.items() if not key.startswith("additions.")} | {
        question.key: question.error for group in groups if group.name == "additions" for question in group.questions if question.error
    }
    shown = {question.key for group in groups for question in group.questions} | {g.switch.key for g in groups if g.switch}
    context = {
        "org": org, "groups": groups, "look": look, "is_draft": is_draft, "problem": problem, "revision": revision, "errors": errors,
        "detail_errors": any(key.startswith(("options.", "additions.")) for key in errors),
        "other_errors": [text for key, text in errors.items() if key not in shown], "files": sorted(attachments_of(org)),
    }  # fmt: skip
    return render(request, "blueprints/needs.html", context, status=status)


def needs_import(request: HttpRequest, org: Organization) -> HttpResponse:
    """Take needs as YAML text."""
    text = ""
    problems: tuple[NeedsError, ...] = ()
    if request.method == "POST":
        text = request.POST.get("text", "")
        try:
            parse_needs(text, "text")
            revision = set_needs(org=org, actor=request.user, text=text, source="text", message=request.POST.get("message", "imported"))
        except NeedsError as error:
            problems = error.problems
        else:
            messages.success(request, f"Needs saved as revision {revision.number}.")
            return redirect("organization", org.slug)
    context = {"org": org, "text": text, "problems": problems}
    return render(request, "blueprints/needs_import.html", context, status=422 if problems else 200)


def needs_export(request: HttpRequest, org: Organization) -> HttpResponse:
    """The newest needs as a YAML file."""
    revision = current_needs(org)
    if revision is None:
        raise Http404("no needs yet")
    response = HttpResponse(revision.text, content_type="text/yaml; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{org.slug}.yaml"'
    return response


def needs_history(request: HttpRequest, org: Organization) -> HttpResponse:
    """All revisions, newest first."""
    revisions = NeedsRevision.objects.for_org(org).select_related("author").defer("text", "data")[:200]
    return render(request, "blueprints/needs_history.html", {"org": org, "revisions": revisions})


def blueprint_make(request: HttpRequest, org: Organization) -> HttpResponse:
    """Render the newest needs and keep the result."""
    try:
        row = actions.make_blueprint(org=org, actor=request.user)
    except SprocketError as error:
        messages.error(request, f"{error} {error.hint}")
        return redirect("organization", org.slug)
    return redirect("blueprint", org.slug, row.number)


def blueprint_page(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Components with reasons, files with content, versions."""
    row = _blueprint(org, number)
    rendering = actions.rendering_of_row(row)
    others = Blueprint.objects.for_org(org).exclude(pk=row.pk)[:50]
    files = [(path, rendering.files[path]) for path in sorted(rendering.files)]
    for component in rendering.blueprint["components"]:
        component["local_images"] = [key for key in rendering.lock["images"] if component["name"] == LOCAL and key.startswith(f"{LOCAL}_")]
    context = {
        "org": org, "row": row, "facts": rendering.blueprint, "lock": rendering.lock, "secrets": rendering.secrets, "files": files,
        "others": others, "memory": sum(c["memory_mib"] for c in rendering.blueprint["components"]),
    }  # fmt: skip
    return render(request, "blueprints/blueprint.html", context)


def blueprint_file(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """One file as plain text."""
    row = _blueprint(org, number)
    file = row.files.filter(path=request.GET.get("path", "")).first()
    if file is None:
        raise Http404("no such file")
    return HttpResponse(file.text, content_type="text/plain; charset=utf-8")


def blueprint_lines(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """One file line by line, each with where it comes from; `line` opens one without script."""
    row = _blueprint(org, number)
    path = request.GET.get("path", "")
    file = row.files.filter(path=path).first()
    if file is None:
        raise Http404("no such file")
    origins, problem = _origins(row, path)
    chosen = _line(origins, path, request.GET["line"]) if origins and "line" in request.GET else None
    context = {"org": org, "row": row, "file": file, "origins": origins, "problem": problem, "origin": chosen}
    return render(request, "blueprints/lines.html", context)


def blueprint_line(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Where one line comes from, for the panel beside the file."""
    row = _blueprint(org, number)
    path = request.GET.get("path", "")
    origins, problem = _origins(row, path) if row.files.filter(path=path).exists() else ((), None)
    chosen = None if problem else _line(origins, path, request.GET.get("line", ""))
    return render(request, "blueprints/_origin.html", {"org": org, "problem": problem, "origin": chosen})


def _origins(row: Blueprint, path: str) -> tuple[tuple[LineOrigin, ...], SprocketError | None]:
    try:
        return actions.trace_file(row, path), None
    except SprocketError as error:
        return (), error


def _line(origins: tuple[LineOrigin, ...], path: str, number: str) -> LineOrigin:
    try:
        return line_of(origins, number, path)
    except SprocketError:
        raise Http404("no such line") from None


def compare_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """Two blueprints, or the newest needs against the newest blueprint: first what changes in words, then fields, then lines."""
    rows = list(Blueprint.objects.for_org(org)[:50])
    new = _chosen(request.GET.get("new"), rows) or (rows[0] if rows else None)
    old = _chosen(request.GET.get("old"), rows)
    if new is not None and old is None and request.GET.get("old") != "0":
        old = next((row for row in rows if row.number < new.number), None)
    comparison = actions.compare_blueprints(old, new) if new else None
    files = []
    if comparison:
        wanted = request.GET.get("view", "unified")
        files = [
            (f, unified(f).splitlines() if wanted == "unified" else [], side_by_side(f) if wanted == "side" else ())
            for f in comparison.files
            if not f.derived
        ]
    context = {
        "org": org, "rows": rows, "old": old, "new": new, "comparison": comparison, "files": files, "signs": SIGNS,
        "derived": [f for f in comparison.files if f.derived] if comparison else [], "view": request.GET.get("view", "unified"),
        "summary": summarise(comparison) if comparison else None, "markdown": markdown(comparison) if comparison else "",
    }  # fmt: skip
    return render(request, "blueprints/compare.html", context)


def _chosen(text: str | None, rows: list[Blueprint]) -> Blueprint | None:
    return next((row for row in rows if text and text.isdecimal() and row.number == int(text)), None)


def _blueprint(org: Organization, number: int) -> Blueprint:
    row = actions.blueprint_of(org, number)
    if row is None:
        raise Http404("no such blueprint")
    return row
