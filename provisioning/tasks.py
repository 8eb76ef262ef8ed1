"""Background work: takes ids, calls one function. Decisions and retries live in rows and in the reconciler."""

from __future__ import annotations

from provisioning import execution
from provisioning.migration import runner
from sprocket_v2.celery import app  # a process that sends needs our broker's settings as much as one that receives


@app.task(name="provisioning.execute")
def execute(run_id: int) -> None:
    """Carry out one run."""
    execution.execute_run(run_id)


@app.task(name="provisioning.migrate")
def migrate(migration_id: int) -> None:
    """Carry a migration on to where it needs somebody."""
    runner.carry_out(migration_id)
