"""Django's entry for provisioning: tells blueprints what the machine that deploys knows."""

from __future__ import annotations

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    """Making it real, and proving it."""

    name = "provisioning"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Blueprints may not look to the right, so it is told where image ids, secret versions and keys come from."""
        from blueprints.actions import know_the_machine
        from blueprints.estate_actions import know_the_estate
        from provisioning.docker_door import estate_of_engine, local_image_ids
        from provisioning.secret_store import secret_versions, withhold_key

        know_the_machine(image_ids=local_image_ids, secret_versions=secret_versions)
        know_the_estate(withhold_key=withhold_key, read_live=estate_of_engine)
