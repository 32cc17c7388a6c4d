"""Giving clients access to documents: links that end, with a password, and invitations to a folder.

A pure interface beside `ObjectStore`, for the stores whose service has such a thing (Dropbox, Box).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A link that opens one document or folder in a browser.

    url:                who knows it may read: as secret as the document, so it stays out of the repr.
    expires:            when it stops working, aware UTC, as the service says; None means never.
    password_protected: whether the service asks for a password.
    """

    url: str = field(repr=False)
    expires: datetime | None = None
    password_protected: bool = False


class Shared(ABC):
    """A store whose documents and folders can be opened to people outside. Raises the errors of `ObjectStore`."""

    @abstractmethod
    def share(self, name: str, *, expires: datetime | None = None, password: str | None = None) -> Link:
        """Return the link to the document or folder `name`, with exactly these settings; there is one per name.

        expires:  when it stops working, aware; None means never.
        password: what a visitor has to enter; None means nothing.

        A link that exists already keeps its address and takes the new settings. Raises ObjectNotFound, Unsupported
        where the account's plan has no such setting, and Rejected where the service refuses the password or date.
        """

    @abstractmethod
    def unshare(self, name: str) -> None:
        """Make every link to `name` stop working. Having none, or nothing of that name, is no error."""

    @abstractmethod
    def invite(self, folder: str, email: str) -> None:
        """Let the person with this e-mail address read everything in `folder`; the service writes to them.

        Inviting somebody who was invited already is no error. Raises ObjectNotFound when there is no such folder.
        """
