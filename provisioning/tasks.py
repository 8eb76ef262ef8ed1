"""Background work: takes ids, calls one function. Decisions and retries live in rows and in the reconciler."""

from __future__ import annotations

from provisioning import backup_actions, execution, reconcile
from provisioning.migration import runner
from provisioning.review import drift
from sprocket_v2.celery import app  # a process that sends needs our broker's settings as much as one that receives


@app.task(name="provisioning.execute")
def execute(run_id: int) -> None:
    """Carry out one run."""
    execution.execute_run(run_id)


@app.task(name="provisioning.migrate")
def migrate(migration_id: int) -> None:
    """Carry a migration on to where it needs somebody."""
    runner.carry_out(migration_id)


@app.task(name="provisioning.reconcile")
def reconcile_now() -> None:
    """One pass of the reconciler, for deployments with a scheduler of their own."""
    reconcile.reconcile()
    runner.reconcile()


@app.task(name="provisioning.look_at_backups")
def look_at_backups() -> None:
    """Note how old the newest backup of every deployment is, for pages: they do not ask Docker."""
    backup_actions.note_all()


@app.task(name="provisioning.look_for_drift")
def look_for_drift() -> None:
    """Ask for a look at every deployment whose last one is too old."""
    drift.ask_due()
