"""Who may do what, in one table. The only way a view gets an organization; absent and forbidden look the same."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from orgs.models import Membership, Organization
from sprocket_v2.errors import DeniedError

# Role -> what it may do. Roles are a set: somebody may be editor and operator without being owner.
PERMISSIONS: dict[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "editor": frozenset({"read", "edit", "propose"}),
    "approver": frozenset({"read", "approve"}),
    "operator": frozenset({"read", "propose", "apply", "secrets"}),
    "owner": frozenset({"read", "edit", "propose", "approve", "apply", "secrets", "destroy", "members"}),
}
ROLES = tuple(PERMISSIONS)


def permissions_of(user: Any, org: Organization) -> frozenset[str]:  # noqa: ANN401 - a user, or nobody
    """What somebody may do in an organization; the platform admin may do everything everywhere."""
    if not getattr(user, "is_active", False):
        return frozenset()
    if user.is_superuser:
        return PERMISSIONS["owner"]
    membership = Membership.objects.for_org(org).filter(user=user).first()
    roles = membership.roles if membership else ()
    return frozenset().union(*(PERMISSIONS.get(role, frozenset()) for role in roles))


def may(user: Any, org: Organization, permission: str) -> bool:  # noqa: ANN401
    """Whether somebody has a permission."""
    return permission in permissions_of(user, org)


def require(user: Any, org: Organization, permission: str) -> None:  # noqa: ANN401
    """For actions.

    Raises:
        DeniedError: the person does not have the permission.
    """
    if not may(user, org, permission):
        roles = ", ".join(role for role, allowed in PERMISSIONS.items() if permission in allowed)
        raise DeniedError(f"you may not {permission} here", hint=f"ask an owner for one of these roles: {roles}", where=org.slug)


def org_for_reading(user: Any, slug: str) -> Organization:  # noqa: ANN401
    """An organization somebody may look at.

    Raises:
        Http404: it is not there, or not theirs.
    """
    return org_for_writing(user, slug, "read")


def org_for_writing(user: Any, slug: str, permission: str) -> Organization:  # noqa: ANN401
    """An organization somebody may change in this way.

    Raises:
        Http404: it is not there, not theirs, or they lack the permission.
    """
    org = Organization.objects.filter(slug=slug).first()
    if org is None or not may(user, org, permission):
        raise Http404("no such page")
    return org


def orgs_of(user: Any) -> list[Organization]:  # noqa: ANN401
    """The organizations somebody belongs to; all of them for the platform admin."""
    if not getattr(user, "is_active", False):
        return []
    if user.is_superuser:
        return list(Organization.objects.all())
    return list(Organization.objects.filter(memberships__user=user).distinct())
