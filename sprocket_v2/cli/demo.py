"""`demo`: the demo organization, from needs to a verified deployment, by the same rows, worker and engine as any other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sprocket_v2.cli.deployments import follow, progress_line, run_data, run_words
from sprocket_v2.cli.django_setup import load_django
from sprocket_v2.cli.local import ROOT, embedded_worker
from sprocket_v2.cli.organizations import store_needs
from sprocket_v2.cli.output import FAILED, out, style
from sprocket_v2.errors import ApplyError, SprocketError

NEEDS = ROOT / "orgs" / "demo.yaml"
SLUG = "demo"
ADMIN = "admin"
# Made up, of the right shape; the stand-ins contact nobody. The token is one of those the real bot takes for a placeholder.
SAMPLE_SECRETS = {
    "discord-client-id": "100000000000000001",
    "discord-client-secret": "not-a-real-client-secret",
    "bot-token": "your_discord_bot_token_here",
}
_RUN_LIMIT_S = 1500


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(help="The demo organization.", no_args_is_help=True)
    group.command("up")(demo_up)
    group.command("down")(demo_down)
    app.add_typer(group, name="demo")


def demo_up(images: Annotated[str, typer.Option(help="standin or real.")] = "standin") -> None:
    """Make the demo organization and its deployment, and verify it."""
    begun = time.monotonic()
    load_django()
    actor, org = prepare(real=images == "real")
    from django.conf import settings

    from blueprints.actions import make_blueprint
    from provisioning.actions import apply, approve, propose
    from provisioning.review.rules import warnings_of

    _refuse_a_strangers_demo(org)
    out.progress(style("1 of 4", "bold") + "  blueprint")
    blueprint = make_blueprint(org=org, actor=actor, via="cli")
    out.progress(f"  {len(blueprint.files.all())} files, {blueprint.digest[:19]}")
    with embedded_worker(Path(settings.SPROCKET_DATA_DIR) / "logs" / "demo-worker.log"):
        out.progress(style("2 of 4", "bold") + "  preview")
        plan = propose(org=org, blueprint=blueprint, actor=actor)
        for warning in warnings_of(plan.review):
            out.progress(f"  warning: {warning}")
        out.progress(f"  {', '.join(f'{count} to {op}' for op, count in plan.changes.items() if op != 'same') or 'nothing to do'}")
        out.progress(style("3 of 4", "bold") + "  apply, by a worker")
        run = apply(plan=approve(plan=plan, actor=actor, reason="the demo: its warnings are said above"), actor=actor)
        follow(run, _RUN_LIMIT_S, progress_line)
        run.refresh_from_db()
    out.progress(style("4 of 4", "bold") + "  verdict")
    access = _access(blueprint)
    page = f"http://127.0.0.1:8000/o/{SLUG}/runs/{run.number}"
    words = [run_words(run), "", f"  web   {access['web_origin']}", f"  api   {access['api_origin']}/healthz"]
    if images != "real":
        words.append("  the applications are stand-ins: they read the real configuration and secrets, and keep no league")
    words.append(f"  page  `make run`, then {page}")
    words.append(f"  took  {time.monotonic() - begun:.0f} s")
    out.result({**run_data(run), "web": access["web_origin"], "api": access["api_origin"], "page": page}, "\n".join(words))
    if str(run.state) != "succeeded":
        raise typer.Exit(FAILED)


def demo_down() -> None:
    """Remove the demo's deployment with its volumes, and its organization."""
    load_django()
    from orgs.actions import get_organization
    from orgs.people import get_user
    from provisioning.actions import destroy, run_here
    from provisioning.purge import forget_organization, purge, remove_leftovers

    org: Any = None
    actor: Any = None
    try:
        org, actor = get_organization(SLUG), get_user(ADMIN)
    except SprocketError:
        pass
    volumes: list[str] = []
    if org is not None and _was_applied(org):
        run = run_here(destroy(org=org, actor=actor, ring=False), on_event=progress_line)
        if str(run.state) != "succeeded":
            out.result(run_data(run), run_words(run))
            raise typer.Exit(FAILED)
        volumes = purge(org=org, actor=actor)
    leftovers = remove_leftovers(SLUG)
    if org is not None:
        forget_organization(org=org, actor=actor)
    data = {"removed": org is not None or bool(leftovers), "volumes": volumes, "leftovers": leftovers}
    words = ["The demo is gone: deployment, organization and volumes." if data["removed"] else "There is no demo."]
    if leftovers:
        words.append(f"{len(leftovers)} of its Docker objects were of another control plane, or of one whose data folder is gone.")
    out.result(data, "\n".join(words))


def _was_applied(org: Any) -> bool:  # noqa: ANN401 - a row
    from provisioning.models import Run
    from provisioning.states import RunKind

    return bool(Run.objects.for_org(org).filter(kind=RunKind.APPLY).exists())


def _refuse_a_strangers_demo(org: Any) -> None:  # noqa: ANN401 - a row
    """Objects under the demo's name that this control plane never made: their passwords are not known here."""
    from provisioning.docker_door import docker_reader

    if _was_applied(org):
        return
    reader = docker_reader()
    count = len(reader.live_services(SLUG)) + len(reader.live_objects(SLUG))
    if count:
        raise ApplyError(
            f"{count} Docker objects of another demo are on this machine, made by another control plane or another data folder",
            hint="`make demo-down` removes them with their data; then again",
            where=SLUG,
        )


def prepare(*, real: bool = False) -> tuple[Any, Any]:
    """The demo's admin and organization, with needs and sample secrets, made where they are not there."""
    from orgs.actions import create_organization, get_organization
    from orgs.people import create_user, get_user
    from provisioning.secret_store import secret_versions, set_secret

    try:
        actor = get_user(ADMIN)
    except SprocketError:
        actor = create_user(username=ADMIN, admin=True)
    try:
        org = get_organization(SLUG)
    except SprocketError:
        org = create_organization(slug=SLUG, name="Demo League", actor=actor, via="cli")
    store_needs(org, _needs_file(real), actor, "the demo's needs")
    known = secret_versions(org)
    for name, value in SAMPLE_SECRETS.items():
        if name not in known:
            set_secret(org=org, name=name, value=value, actor=actor)
    return actor, org


def _needs_file(real: bool) -> Path:
    if not real:
        return NEEDS
    from django.conf import settings

    folder = Path(settings.SPROCKET_DATA_DIR) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo-schema.sql").write_bytes((ROOT / "orgs" / "demo-schema.sql").read_bytes())
    file = folder / "demo.yaml"
    file.write_text(NEEDS.read_text().replace("applications: stand-in", "applications: real"))
    return file


def _access(blueprint: Any) -> dict[str, Any]:  # noqa: ANN401 - a row
    from blueprints.actions import rendering_of_row

    access: dict[str, Any] = rendering_of_row(blueprint).blueprint["access"]["canonical"]
    return access


def prepare_for_looking(base_url: str) -> None:
    """For `make run`: the demo organization with two blueprints to compare, and a one-time sign-in link, printed."""
    from django.conf import settings

    from blueprints.actions import make_blueprint, newest_blueprint
    from orgs.people import get_user, make_sign_in_link

    settings.SPROCKET_BASE_URL = base_url
    actor, org = _without_disturbing()
    if newest_blueprint(org) is None:
        _draft_with_less_cache(org, actor)
        make_blueprint(org=org, actor=actor, via="cli")
    out.progress(f"\nsign in (once, within {settings.SIGN_IN_LINK_MINUTES} minutes): {make_sign_in_link(user=get_user(ADMIN))}\n")


def _draft_with_less_cache(org: Any, actor: Any) -> None:  # noqa: ANN401 - rows
    """A first blueprint that differs from the demo's in one answer, so that there is something to compare."""
    from blueprints.actions import make_blueprint
    from orgs.actions import set_needs

    text = NEEDS.read_text() + "options:\n  redis:\n    memory_mib: 64\n"
    set_needs(org=org, actor=actor, text=text, source="demo draft", message="a draft with a smaller cache", via="cli")
    make_blueprint(org=org, actor=actor, via="cli")
    store_needs(org, NEEDS, actor, "the demo's needs")


def _without_disturbing() -> tuple[Any, Any]:
    """The demo organization as it is, or made."""
    from orgs.actions import get_organization
    from orgs.people import get_user

    try:
        return get_user(ADMIN), get_organization(SLUG)
    except SprocketError:
        return prepare()
