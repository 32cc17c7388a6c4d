"""Links and invitations of Dropbox: https://www.dropbox.com/developers/documentation/http/documentation#sharing"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dropbox
from dropbox import sharing
from dropbox.exceptions import ApiError

from providers.stores.errors import StoreUnavailable
from providers.stores.sharing import Link


def make_link(client: dropbox.Dropbox, path: str, expires: datetime | None, password: str | None) -> Link:
    """Return the link to `path` with these settings; one that exists already is changed."""
    settings = sharing.SharedLinkSettings(
        require_password=password is not None,
        link_password=password,
        expires=_as_dropbox_writes_it(expires),
        audience=sharing.LinkAudience.public,
        access=sharing.RequestedLinkAccessLevel.viewer,
    )
    try:
        return _link(client.sharing_create_shared_link_with_settings(path, settings))
    except ApiError as exc:
        if not exc.error.is_shared_link_already_exists():
            raise
    settings.access = None  # the one setting that cannot be changed
    url = next(links_to(client, path)).url
    return _link(client.sharing_modify_shared_link_settings(url, settings, remove_expiration=expires is None))


def links_to(client: dropbox.Dropbox, path: str) -> Iterator[sharing.SharedLinkMetadata]:
    """Yield the links to `path` itself, not those to folders above."""
    page = client.sharing_list_shared_links(path, direct_only=True)
    yield from page.links
    while page.has_more:
        page = client.sharing_list_shared_links(path, cursor=page.cursor, direct_only=True)
        yield from page.links


def invite(client: dropbox.Dropbox, path: str, email: str) -> None:
    """Make the folder a shared one and let the person read it."""
    member = sharing.AddMember(sharing.MemberSelector.email(email), sharing.AccessLevel.viewer)
    client.sharing_add_folder_member(_shared_folder_id(client, path), [member])


def _shared_folder_id(client: dropbox.Dropbox, path: str) -> str:
    try:
        launch = client.sharing_share_folder(path)
    except ApiError as exc:
        if exc.error.is_bad_path() and exc.error.get_bad_path().is_already_shared():
            return str(exc.error.get_bad_path().get_already_shared().shared_folder_id)
        raise
    if launch.is_async_job_id():
        raise StoreUnavailable(f"Dropbox is still turning {path} into a shared folder", retry_after=5.0)
    return str(launch.get_complete().shared_folder_id)


def _link(found: sharing.SharedLinkMetadata) -> Link:
    expires = found.expires.replace(tzinfo=UTC) if found.expires else None
    return Link(found.url, expires, bool(found.link_permissions.require_password))


def _as_dropbox_writes_it(moment: datetime | None) -> datetime | None:
    """Return `moment` in UTC, without a zone and in whole seconds, as the SDK wants it."""
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0) if moment else None
