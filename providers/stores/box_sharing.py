"""Links and invitations of Box: https://developer.box.com/guides/shared-links/, .../guides/collaborations/"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from box_sdk_gen import (
    AddShareLinkToFileSharedLink,
    AddShareLinkToFileSharedLinkAccessField,
    AddShareLinkToFolderSharedLink,
    AddShareLinkToFolderSharedLinkAccessField,
    BoxAPIError,
    CreateCollaborationAccessibleBy,
    CreateCollaborationAccessibleByTypeField,
    CreateCollaborationItem,
    CreateCollaborationItemTypeField,
    CreateCollaborationRole,
    null,
)

from providers.stores.box_errors import code_of
from providers.stores.box_tree import Item
from providers.stores.sharing import Link

FIELD = "shared_link"


def make_link(client: Any, item: Item, expires: datetime | None, password: str | None) -> Link:
    """Return the link to `item` with these settings; one that exists already is changed."""
    settings: dict[str, Any] = {
        "password": null if password is None else password,
        "unshared_at": null if expires is None else expires.astimezone(UTC).replace(microsecond=0),
    }
    if item.is_file:
        wanted = AddShareLinkToFileSharedLink(access=AddShareLinkToFileSharedLinkAccessField.OPEN, **settings)
        found = client.shared_links_files.add_share_link_to_file(item.id, FIELD, shared_link=wanted)
    else:
        wanted = AddShareLinkToFolderSharedLink(access=AddShareLinkToFolderSharedLinkAccessField.OPEN, **settings)
        found = client.shared_links_folders.add_share_link_to_folder(item.id, FIELD, shared_link=wanted)
    link = found.shared_link
    return Link(link.url, link.unshared_at, bool(link.is_password_enabled))


def remove_link(client: Any, item: Item) -> None:
    """Make the link to `item` stop working."""
    if item.is_file:
        client.shared_links_files.remove_shared_link_from_file(item.id, FIELD, shared_link=null)
    else:
        client.shared_links_folders.remove_shared_link_from_folder(item.id, FIELD, shared_link=null)


def invite(client: Any, folder_id: str, email: str) -> None:
    """Let the person read the folder; Box writes to them."""
    item = CreateCollaborationItem(type=CreateCollaborationItemTypeField.FOLDER, id=folder_id)
    person = CreateCollaborationAccessibleBy(CreateCollaborationAccessibleByTypeField.USER, login=email)
    try:
        client.user_collaborations.create_collaboration(item, person, CreateCollaborationRole.VIEWER)
    except BoxAPIError as exc:
        if code_of(exc) != "user_already_collaborator":
            raise
