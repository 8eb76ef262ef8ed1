"""What a process of ours may import: the engine's SDK only in the engine's child, and no Django there (rule 13)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = "import django; django.setup(); import sprocket_v2.celery, provisioning.tasks, provisioning.actions"
CHILD = "import provisioning.stacks"
PURE = "import provisioning.operations, provisioning.verify, provisioning.engine_events, provisioning.states, provisioning.live"


@pytest.mark.parametrize(
    ("code", "banned"),
    [(WORKER, "pulumi docker grpc"), (CHILD, "django celery docker"), (PURE, "django celery docker pulumi")],
)
def test_a_process_imports_only_what_is_its_own(code: str, banned: str, tmp_path: Path) -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "sprocket_v2.settings", "SPROCKET_DATA_DIR": str(tmp_path)}
    ask = f"{code}; import sys; print(*sorted(set(sys.modules) & set({banned.split()!r})))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", ask], env=environment, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
