"""People who sign in: made with a password that is shown once."""

from __future__ import annotations

import secrets

from wedbackup.core.models import User

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is mistaken for something else when typed
_GROUPS, _GROUP_LETTERS = 4, 4


def password_propose() -> str:
    """Return a password of 79 random bits that can be read out and typed, such as "kx7m-p2qd-9w4t-h3rv"."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LETTERS)) for _ in range(_GROUPS))
    return "-".join(groups)


def person_create(*, username: str, role: str, first_name: str = "", last_name: str = "") -> tuple[User, str]:
    """Make a person and return them with their password, which is nowhere kept readable.

    Admins may also use the admin site. A person of that name who exists already gets a new password.
    """
    user, _ = User.objects.get_or_create(username=username)
    user.role = role
    user.is_staff = user.is_superuser = role == User.Role.ADMIN
    user.first_name, user.last_name = first_name or user.first_name, last_name or user.last_name
    password = password_propose()
    user.set_password(password)
    user.save()
    return user, password
