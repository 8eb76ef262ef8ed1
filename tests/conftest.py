"""People of the tests: Alice owns the organization `demo`, Bob is a volunteer there, Charlie belongs to another one."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from hypothesis import settings as hypothesis_settings

from orgs.models import Membership, Organization

# A loaded machine is not a failure; the same examples every time, so that a red build can be repeated.
hypothesis_settings.register_profile(
    "sprocket", deadline=None, derandomize=True, max_examples=int(os.environ.get("SPROCKET_EXAMPLES", "20"))
)
hypothesis_settings.load_profile("sprocket")


def _person(name: str) -> Any:
    return get_user_model().objects.create(username=name)


@pytest.fixture
def demo(db: None) -> Organization:
    """Alice's organization."""
    return Organization.objects.create(slug="demo", name="Demo League")


@pytest.fixture
def other(db: None) -> Organization:
    """Charlie's organization."""
    return Organization.objects.create(slug="other", name="Other League")


@pytest.fixture
def alice(demo: Organization) -> Any:
    """Owner of demo."""
    user = _person("alice")
    Membership.objects.create(organization=demo, user=user, roles=["owner"])
    return user


@pytest.fixture
def bob(demo: Organization) -> Any:
    """A volunteer in demo."""
    user = _person("bob")
    Membership.objects.create(organization=demo, user=user, roles=["viewer", "editor"])
    return user


@pytest.fixture
def charlie(other: Organization) -> Any:
    """Owner of another organization."""
    user = _person("charlie")
    Membership.objects.create(organization=other, user=user, roles=["owner"])
    return user
