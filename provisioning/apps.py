"""Django's entry for provisioning."""

from __future__ import annotations

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    """Making it real, and proving it."""

    name = "provisioning"
    default_auto_field = "django.db.models.BigAutoField"
