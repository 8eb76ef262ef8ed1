"""`serve`, `worker`, `doctor`, `images`: things of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sprocket_v2.cli.django_setup import load_django
from sprocket_v2.cli.output import out, style, table
from sprocket_v2.errors import SetupError

ROOT = Path(__file__).resolve().parent.parent.parent


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("serve")(serve_command)
    app.command("worker")(worker_command)
    app.command("doctor")(doctor_command)
    images = typer.Typer(help="Images: what is pinned, what is there.", no_args_is_help=True)
    images.command("lock")(images_lock)
    images.command("check")(images_check)
    app.add_typer(images, name="images")


def doctor_command() -> None:
    """Check this machine, and say how to mend what is wrong."""
    load_django(migrate=False)
    from django.conf import settings

    from provisioning.materials import find_engine
    from sprocket_v2.machine import diagnose

    try:
        engine: Path | None = find_engine()
    except SetupError:
        engine = None
    found = [*diagnose(Path(settings.SPROCKET_DATA_DIR), engine), *_host_edge()]
    colours = {"ok": "green", "warning": "yellow", "failed": "red"}
    width = max(len(d.name) for d in found)
    lines = [
        f"{style(d.state.ljust(7), colours[d.state])}  {d.name.ljust(width)}  {d.detail}"
        + (f"\n{'':9}{'':{width}}  → {d.hint}" if d.hint else "")
        for d in found
    ]
    out.result(found, "\n".join(lines))
    if any(d.state == "failed" for d in found):
        raise typer.Exit(1)


def _host_edge() -> Iterator[Any]:
    """The host's edge, where organizations share the entry ports."""
    from django.db import DatabaseError

    from provisioning.host_edge.actions import is_in_use, standing
    from sprocket_v2.machine import Diagnosis

    try:
        if not is_in_use():
            return
        now = standing()
    except DatabaseError:  # no database yet
        return
    state = "ok" if now.state == "current" and now.is_running else "warning" if now.state == "unknown" else "failed"
    detail = (
        f"{now.state}, {'running' if now.is_running else 'not running'}; {len(now.members)} share ports {', '.join(map(str, now.ports))}"
    )
    yield Diagnosis("Host edge", state, detail, "" if state == "ok" else "`sprocket edge show`, then `sprocket edge apply`")


def worker_command(concurrency: Annotated[int, typer.Option(help="Runs carried out at the same time.")] = 2) -> None:
    """Carry out runs until told to stop."""
    load_django()
    raise typer.Exit(subprocess.call(worker_arguments(concurrency), cwd=ROOT))


def worker_arguments(concurrency: int = 2) -> list[str]:
    """The Celery worker's command line."""
    return [
        sys.executable, "-m", "celery", "-A", "sprocket_v2.celery", "worker", "--loglevel", "WARNING", "--concurrency", str(concurrency),
        "--without-gossip", "--without-mingle", "--pool", "prefork", "-Q", "runs", "-n", f"sprocket-{os.getpid()}@%h",
    ]  # fmt: skip


@contextmanager
def embedded_worker(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker beside this process, in its own group; ended with it, even when this process is killed."""
    from sprocket_v2.celery import ENDS_WITH_PARENT

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            worker_arguments(),
            cwd=ROOT,
            env={**os.environ, ENDS_WITH_PARENT: "1"},
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def serve_command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    with_worker: Annotated[bool, typer.Option("--with-worker", help="Run a worker too.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Have the demo organization, its blueprint and a comparison ready.")] = False,
) -> None:
    """Serve the pages until told to stop."""
    load_django()
    from django.conf import settings

    os.environ.setdefault("SPROCKET_BASE_URL", f"http://{host}:{port}")
    if with_worker:
        _get_engine_meanwhile()
    if demo:
        from sprocket_v2.cli.demo import prepare_for_looking

        prepare_for_looking(f"http://{host}:{port}")
    if with_worker:
        with embedded_worker(Path(settings.SPROCKET_DATA_DIR) / "logs" / "worker.log"):
            _serve(host, port)
    else:
        _serve(host, port)


def _serve(host: str, port: int) -> None:
    import uvicorn

    out.progress(f"pages: http://{host}:{port}  (Ctrl-C ends it)")
    uvicorn.run("sprocket_v2.asgi:application", host=host, port=port, log_level="warning", timeout_graceful_shutdown=3, lifespan="off")


def _get_engine_meanwhile() -> None:
    """Fetch or build the engine beside; pages say how far it is."""
    if (ROOT / "tools" / "setup" / "pulumi.py").is_file():
        command = [sys.executable, "-m", "tools.setup.pulumi", "--quiet"]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        threading.Thread(target=process.wait, daemon=True).start()
        time.sleep(0)


def images_lock() -> None:
    """Ask the registries for digests and write templates/images.lock.yaml. Needs a connected machine."""
    from blueprints.catalog import TEMPLATES, load_catalog
    from provisioning.providers.swarm.client import connect

    catalog = load_catalog()
    docker = connect()
    found: dict[str, dict[str, Any]] = {}
    unresolved = []
    for name, image in catalog.images().items():
        reference = f"{image.name}:{image.tag}"
        out.progress(f"asking for {reference}")
        digest, architectures = docker.registry_digest(reference)
        found[name] = {
            "name": image.name,
            "tag": image.tag,
            "digest": digest or "unresolved",
            "architectures": architectures,
        }
        if not digest:
            unresolved.append(name)
    if len(unresolved) == len(found):
        raise SetupError(
            "no registry answered; nothing was written", hint="run this on a machine that reaches the registries", where="images"
        )
    _write_lock(TEMPLATES / "images.lock.yaml", found)
    out.result(
        {"images": found, "unresolved": unresolved},
        f"{len(found) - len(unresolved)} pinned" + (f", unresolved: {', '.join(unresolved)}" if unresolved else ""),
    )
    if unresolved:
        raise typer.Exit(1)


def _write_lock(file: Path, found: dict[str, dict[str, Any]]) -> None:
    import io

    from ruamel.yaml import YAML

    stream = io.StringIO()
    stream.write("# Image digests by component. Written by `sprocket images lock`.\n")
    YAML().dump({"images": found}, stream)
    part = file.with_suffix(".part")
    part.write_text(stream.getvalue())
    part.replace(file)


def images_check() -> None:
    """Say of each component's image whether it is on this machine."""
    from blueprints.catalog import TEMPLATES, load_catalog
    from blueprints.lock import read_lock
    from provisioning.providers.swarm.client import connect

    docker, lock = connect(), read_lock(TEMPLATES / "images.lock.yaml")
    rows, data = [], []
    for name, image in load_catalog().images().items():
        for tag, kind in ((image.tag, "real"), (image.stand_in, "stand-in")):
            if not tag:
                continue
            reference = f"{image.name}:{tag}"
            image_id = docker.local_image_id(reference)
            pinned = kind == "real" and name in lock.images and lock.images[name].digest != "unresolved"
            state = "there" if image_id else "not there"
            rows.append((name, reference, kind, state, "pinned" if pinned else "by tag"))
            data.append({"component": name, "image": reference, "kind": kind, "id": image_id, "pinned": pinned})
    out.result(data, table(rows, ("component", "image", "kind", "here", "digest")))
