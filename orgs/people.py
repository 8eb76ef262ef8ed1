"""People and how they sign in: by a one-time link, never by a password."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils import timezone

from orgs.actions import record, set_roles
from orgs.grammar import shown
from orgs.models import Membership, Organization, SignInLink
from sprocket_v2.errors import DeniedError, SprocketError

_USERNAME = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,39}\Z")


def create_user(*, username: str, admin: bool = False, via: str = "cli") -> Any:  # noqa: ANN401 - Django's user model
    """Make a person who signs in by link.

    Raises:
        SprocketError: the name is not one, or taken.
    """
    if not _USERNAME.match(username):
        raise SprocketError(f"{shown(username)} is no user name", hint="a-z, 0-9, dot, hyphen and underscore, at most 40", where="name")
    try:
        with transaction.atomic():
            user = get_user_model()(username=username, is_superuser=admin, is_staff=False)
            user.set_unusable_password()
            user.save()
            record(org=None, actor=user, what="user created", detail=username, via=via)
    except IntegrityError:
        raise SprocketError(
            f"user {shown(username)} is there already", hint="`sprocket user sign-in-link` lets them in", where="name"
        ) from None
    return user


def get_user(username: str) -> Any:  # noqa: ANN401
    """A person by name.

    Raises:
        SprocketError: there is none.
    """
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise SprocketError(f"no user {shown(username)}", hint="`sprocket user create` makes one", where="name")
    return user


def invite(*, org: Organization, username: str, roles: list[str], actor: Any, via: str = "cli") -> tuple[Any, str]:  # noqa: ANN401
    """Make somebody a member, as a new person where there is none of the name, and give the link they sign in by."""
    user = get_user_model().objects.filter(username=username).first() or create_user(username=username, via=via)
    set_roles(org=org, user=user, roles=roles, actor=actor, via=via)
    return user, make_sign_in_link(user=user)


def make_sign_in_link(*, user: Any) -> str:  # noqa: ANN401
    """A link that works once, for some minutes. Its token is shown here and kept nowhere."""
    token = secrets.token_urlsafe(32)
    expires = timezone.now() + timedelta(minutes=settings.SIGN_IN_LINK_MINUTES)
    SignInLink.objects.create(user=user, token_sha256=_digest(token), expires=expires)
    return f"{settings.SPROCKET_BASE_URL}/sign-in/{token}"


def find_sign_in_link(token: str) -> SignInLink | None:
    """The link of a token, when it still works. Looking does not use it up."""
    return SignInLink.objects.select_related("user").filter(token_sha256=_digest(token), used=None, expires__gt=timezone.now()).first()


def use_sign_in_link(token: str) -> Any:  # noqa: ANN401
    """The person a link lets in; it works no second time.

    Raises:
        DeniedError: used, expired or never made.
    """
    link = find_sign_in_link(token)
    if link is None or not SignInLink.objects.filter(pk=link.pk, used=None).update(used=timezone.now()):
        raise DeniedError("this link was used, or is too old", hint="ask for a new one: `sprocket user sign-in-link NAME`")
    record(org=None, actor=link.user, what="signed in")
    return link.user


def person_for_command_line(org: Organization, username: str | None) -> Any:  # noqa: ANN401
    """Whose action something on the command line is: the named person's, else the only owner's, else the only platform admin's.

    Raises:
        SprocketError: nobody can be told.
    """
    if username:
        return get_user(username)
    owners = [m.user for m in Membership.objects.for_org(org).select_related("user") if "owner" in m.roles]
    admins = list(get_user_model().objects.filter(is_superuser=True, is_active=True))
    for people in (owners, admins):
        if len(people) == 1:
            return people[0]
    raise SprocketError("whose action is this?", hint="name a person with --as NAME; `sprocket user create` makes one", where=org.slug)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
