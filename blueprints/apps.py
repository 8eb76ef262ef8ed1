"""Django's entry for blueprints."""

from __future__ import annotations

from django.apps import AppConfig


class BlueprintsConfig(AppConfig):
    """What we would deploy and why."""

    name = "blueprints"
    default_auto_field = "django.db.models.BigAutoField"
