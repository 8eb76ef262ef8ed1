"""Background work: takes ids, calls one function. Decisions and retries live in rows and in the reconciler."""

from __future__ import annotations

from celery import shared_task

from provisioning import execution, reconcile


@shared_task(name="provisioning.execute")
def execute(run_id: int) -> None:
    """Carry out one run."""
    execution.execute_run(run_id)


@shared_task(name="provisioning.reconcile")
def reconcile_now() -> None:
    """One pass of the reconciler, for deployments with a scheduler of their own."""
    reconcile.reconcile()
