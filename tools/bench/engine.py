"""What a user waits for with a real engine, against the same without us: preview, apply that changes nothing, first apply.

Needs Docker, the images and the Pulumi CLI; makes a deployment under a slug of its own and removes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from provisioning.providers.swarm.client import connect
from sprocket_v2.errors import SprocketError
from tests.engine.deployed import ControlPlane
from tools.bench.row import Row
from tools.setup import pulumi

ROOT = Path(__file__).resolve().parent.parent.parent
GROUP = "engine"
TIMES = 5
_MATERIAL = """
from pathlib import Path
from blueprints.rendering import write_bundle
from provisioning import materials
rendering = blueprint_actions.rendering_of_row(blueprint_actions.newest_blueprint(org))
write_bundle(rendering, Path(TO))
wanted = secret_store.wanted_secrets(rendering.secrets)
say({"org": SLUG, "bundle": TO, "state_url": materials.state_url(SLUG), "passphrase": secret_store.passphrase_of(org),
     "fingerprints": secret_store.fingerprints_for(org, wanted), "secrets": {k.split("/")[1].split("@")[0]: v for k, v in secret_store.values_for(org, wanted).items()}})
"""
_PREVIEWS = """
rendering = blueprint_actions.rendering_of_row(blueprint_actions.newest_blueprint(org))
taken = []
for _ in range(TIMES):
    began = time.perf_counter()
    result = actions.preview_now(org=org, rendering=rendering)
    taken.append(time.perf_counter() - began)
    assert not result.has_changes
say(taken)
"""
_APPLIES = """
taken = []
for _ in range(TIMES):
    plan = actions.approve(plan=actions.propose(org=org, blueprint=newest(), actor=alice), actor=alice, reason="stand-ins are fine here")
    began = time.perf_counter()
    run = actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
    taken.append(time.perf_counter() - began)
    assert run.state == "succeeded", run.error
say(taken)
"""


def rows() -> list[Row]:
    """The engine's rows; skipped with the reason where a part is missing."""
    try:
        connect()
        engine = pulumi.find()
    except SprocketError as error:
        return [Row(GROUP, "engine rows", skipped=error.message)]
    if engine is None:
        return [Row(GROUP, "engine rows", skipped="the Pulumi CLI is not here: make setup")]
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(Path(folder) / "data")
        try:
            return _measure(plane, Path(folder))
        finally:
            plane.clean_up()


def _measure(plane: ControlPlane, folder: Path) -> list[Row]:
    plane.set_up()
    plane.start_worker()
    first_apply = _first_apply(plane)
    material = plane.ask(_MATERIAL, TO=str(folder / "bundle"))
    ours, bare = _interleaved(plane, material)
    applies = plane.ask(_APPLIES, TIMES=TIMES)
    alone = _alone(plane, folder, material["secrets"])
    return [
        Row(GROUP, "no-op preview, fresh child", min(ours) / min(bare), "x", 2.2, None, _s(ours), _s(bare), "bare stack.preview() in a live process"),
        Row(GROUP, "no-op apply, nothing moved", min(applies), "s", 0.3, None, _s(applies), "", "the engine is skipped"),
        Row(GROUP, "first apply less 2.5 s", max(first_apply - 2.5, 0) / alone, "x", 1.3, None, f"{first_apply:.1f} s", f"{alone:.1f} s",
            "the bundle's deploy.sh (docker stack deploy, stage by stage)"),
    ]  # fmt: skip


def _first_apply(plane: ControlPlane) -> float:
    """From the request to the end of the run, its verdict included."""
    plan = plane.planned()
    begun = time.perf_counter()
    done = plane.wait(plane.asked_to_apply(plan))
    taken = time.perf_counter() - begun
    assert done["state"] == "succeeded", done
    return taken


def _interleaved(plane: ControlPlane, material: dict[str, Any]) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(2):
        bare += _bare(plane, material)["preview"]
        ours += plane.ask(_PREVIEWS, TIMES=TIMES)
    return ours, bare


def _bare(plane: ControlPlane, material: dict[str, Any]) -> dict[str, list[float]]:
    paths = os.pathsep.join((str(Path(sys.executable).parent), str(Path(str(pulumi.find())).parent), os.environ["PATH"]))
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench.bare"],
        input=json.dumps({**{k: v for k, v in material.items() if k != "secrets"}, "times": TIMES, "what": ["preview"]}) + "\n",
        env={**plane.environment, "PATH": paths}, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    taken: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return taken


def _alone(plane: ControlPlane, folder: Path, secrets: dict[str, str]) -> float:
    """The same bundle on an empty engine by Docker alone.

    By its deploy.sh, stage by stage: one `docker stack deploy --detach=false` of the whole file waits for ever, because a job that has
    finished never counts as running (measured with the 28.2 command line: not back after 120 s).
    """
    plane.clean_up()
    target = folder / "bundle" / "secrets"
    target.mkdir(mode=0o700, exist_ok=True)
    for name, value in secrets.items():
        (target / name).write_text(value)
        (target / name).chmod(0o600)
    begun = time.perf_counter()
    done = subprocess.run(["sh", "deploy.sh"], cwd=folder / "bundle", capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - begun


def _s(times: list[float]) -> str:
    return f"{min(times):.2f} s"
