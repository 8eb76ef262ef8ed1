"""Django's entry for orgs."""

from __future__ import annotations

from django.apps import AppConfig


class OrgsConfig(AppConfig):
    """Who and what they need."""

    name = "orgs"
    default_auto_field = "django.db.models.BigAutoField"
