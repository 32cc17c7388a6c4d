"""A small honest fake of the Dropbox API, for the official SDK; files are kept in memory.

What it does like the real one, and where that is written:
- refusals are 409 with nested tags, tokens 401, bad input 400 in plain text, an unknown path root 422
  (https://www.dropbox.com/developers/documentation/http/documentation, "Errors"; .../reference/error-handling-guide);
- access tokens live 4 hours and come from a refresh token with app key and secret, or with the key alone if it was
  made with PKCE; a revoked one is invalid_grant (https://developers.dropbox.com/oauth-guide);
- a member of a team with a team space has a root namespace beside the home namespace
  (https://www.dropbox.com/developers/reference/path-root-header-modes);
- `content_hash` of each request is checked (https://www.dropbox.com/developers/reference/content-hash);
- upload sessions answer incorrect_offset with the right one, live 7 days, and are closed by finishing them;
- names keep their case but are compared without it; missing folders are made silently; deleting a folder deletes all
  in it; listings come in pages with a cursor, the folder itself first;
- a second link to the same path is shared_link_already_exists; sharing a shared folder is already_shared.

Not like the real one: no rate limit of its own (tests put those answers on the line), and no long jobs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from tests.servers.fake_http import Answer, Refused, Request, range_answer, serving
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

BLOCK_BYTES = 4 * 1024 * 1024
HOME, TEAM_SPACE, TEAM_FOLDER = "101", "202", "303"
_RIGHTS = ("files.metadata.read", "files.content.read", "files.content.write", "sharing.read", "sharing.write")
SCOPES = frozenset(("account_info.read", *_RIGHTS))
_SCOPE_OF = {
    "users": "account_info.read",
    "files/get_metadata": "files.metadata.read",
    "files/list_folder": "files.metadata.read",
    "files/list_folder/continue": "files.metadata.read",
    "files/download": "files.content.read",
    "files": "files.content.write",
    "sharing/list_shared_links": "sharing.read",
    "sharing": "sharing.write",
}
_TIMES = dict.fromkeys(("client_modified", "server_modified"), "2026-06-12T12:00:00Z")


@dataclass
class Entry:
    """A file, or a folder if there is no content."""

    path: str
    content: bytes | None
    modified: datetime
    rev: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def is_file(self) -> bool:
        return self.content is not None


Space: TypeAlias = dict[str, Entry]


@dataclass
class UploadSession:
    content: bytearray
    began: datetime
    closed: bool = False


def hash_of(content: bytes) -> str:
    blocks = [content[start : start + BLOCK_BYTES] for start in range(0, len(content), BLOCK_BYTES)]
    return hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks)).hexdigest()


def tagged(*tags: str, **fields: Any) -> Refused:
    """Return the 409 with these tags, the outermost first; fields belong to the innermost."""
    error: dict[str, Any] = {".tag": tags[-1], **fields}
    for tag in reversed(tags[:-1]):
        error = {".tag": tag, tag: error}
    return Refused(Answer(409, {"error_summary": "/".join(tags) + "/..", "error": error}))


class DropboxCloud:
    """One member of one team. Change its attributes to make it refuse.

    scopes:         what the app may do.
    read_only:      paths (lower case) below which nothing may be written.
    space_bytes:    how much the team may store [bytes].
    link_settings:  whether the plan has passwords and dates for links.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.clock = clock
        self.url = ""
        self.app_key, self.app_secret, self.refresh_token = "the-app-key", "the-app-secret", "the-refresh-token"
        self.scopes = SCOPES
        self.read_only: set[str] = set()
        self.space_bytes = 2**40
        self.link_settings = True
        self.spaces: dict[str, Space] = {HOME: {}, TEAM_SPACE: {}, TEAM_FOLDER: {}}
        self.sessions: dict[str, UploadSession] = {}
        self.links: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.tokens: dict[str, datetime] = {}
        self._cursors: dict[str, tuple[list[Any], int]] = {}
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve; yield the address, which is then `url` too."""
        with serving(self.answer) as self.url:
            yield self.url

    def make_folder(self, path: str, *, space: str = TEAM_SPACE) -> None:
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            part = "/" + "/".join(parts[:depth])
            self.spaces[space].setdefault(part.lower(), Entry(part, None, self.clock.utcnow()))

    def answer(self, request: Request) -> Answer:
        with self._lock:
            if request.path == "/oauth2/token":
                return self._token(request)
            route = request.path.removeprefix("/2/")
            self._check_token(request, route)
            space = self._space(request)
            header = request.headers.get("Dropbox-API-Arg")
            argument = json.loads(header) if header else request.json()
            step = getattr(self, "_" + route.replace("/", "_"), None)
            if step is None:
                raise Refused(Answer(400, f'Unknown API function: "{route}"'.encode(), {"Content-Type": "text/plain"}))
            result = step(space, argument or {}, request)
            return result if isinstance(result, Answer) else Answer(200, result)

    # --- who asks

    def _token(self, request: Request) -> Answer:
        form = dict(pair.split("=", 1) for pair in request.body.decode().split("&"))
        with_pkce = not self.app_secret and "client_secret" not in form
        if form["client_id"] != self.app_key or not (with_pkce or form.get("client_secret") == self.app_secret):
            description = "invalid_client: Invalid client_id or client_secret"
            return Answer(400, {"error": description, "error_description": description})
        if form["refresh_token"] != self.refresh_token:
            return Answer(400, {"error": "invalid_grant", "error_description": "refresh token is invalid or revoked"})
        token = secrets.token_hex(8)
        self.tokens[token] = self.clock.utcnow() + timedelta(hours=4)
        return Answer(200, {"access_token": token, "expires_in": 14400, "token_type": "bearer"})

    def _check_token(self, request: Request, route: str) -> None:
        expires = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if expires is None or expires <= self.clock.utcnow():
            tag = "expired_access_token" if expires else "invalid_access_token"
            raise Refused(Answer(401, {"error_summary": tag, "error": {".tag": tag}}))
        scope = _SCOPE_OF.get(route) or _SCOPE_OF[route.split("/")[0]]
        if scope not in self.scopes:
            error = {".tag": "missing_scope", "required_scope": scope}
            raise Refused(Answer(401, {"error_summary": "missing_scope/..", "error": error}))

    def _space(self, request: Request) -> Space:
        root = json.loads(request.headers.get("Dropbox-API-Path-Root") or '{".tag": "home"}')
        if root[".tag"] == "home":
            return self.spaces[HOME]
        number = root[root[".tag"]]
        if number not in self.spaces or (root[".tag"] == "root" and number != TEAM_SPACE):
            raise Refused(Answer(422, {"error": {".tag": "no_permission"}}))
        return self.spaces[number]

    def _users_get_current_account(self, space: Space, argument: Any, request: Request) -> Any:
        names = ("given_name", "surname", "familiar_name", "display_name", "abbreviated_name")
        root = {".tag": "team", "root_namespace_id": TEAM_SPACE, "home_namespace_id": HOME, "home_path": "/Sam"}
        return {
            "account_id": "dbid:" + "A" * 35,
            "name": dict.fromkeys(names, "Sam"),
            "email": "sam@lumen.example",
            "account_type": {".tag": "business"},
            "root_info": root,
            **dict.fromkeys(("locale", "referral_link"), "en"),
            **dict.fromkeys(("email_verified", "disabled", "is_paired"), False),
        }

    # --- files

    def _files_upload(self, space: Space, argument: Any, request: Request) -> Any:
        self._check_hash(argument, request.body)
        if problem := self._why_not(space, argument["path"], len(request.body)):
            reason: dict[str, Any] = {".tag": problem[0]}
            if problem[1:]:
                reason[problem[0]] = {".tag": problem[1]}
            error = {".tag": "path", "reason": reason, "upload_session_id": "AAA"}
            raise Refused(Answer(409, {"error_summary": "path/..", "error": error}))
        return self._store(space, argument["path"], request.body)

    def _files_upload_session_start(self, space: Space, argument: Any, request: Request) -> Any:
        self._check_hash(argument, request.body)
        name = secrets.token_hex(8)
        self.sessions[name] = UploadSession(bytearray(request.body), self.clock.utcnow())
        return {"session_id": name}

    def _files_upload_session_append_v2(self, space: Space, argument: Any, request: Request) -> Any:
        session = self._session(argument["cursor"])
        self._check_hash(argument, request.body)
        session.content += request.body
        return Answer(200, None)

    def _files_upload_session_finish(self, space: Space, argument: Any, request: Request) -> Any:
        session = self._session(argument["cursor"], "lookup_failed")
        path = argument["commit"]["path"]
        if problem := self._why_not(space, path, len(session.content)):
            raise tagged("path", *problem)
        session.closed = True
        return self._store(space, path, bytes(session.content) + request.body)

    def _files_download(self, space: Space, argument: Any, request: Request) -> Any:
        entry = self._entry(space, argument["path"])
        if entry.content is None:
            raise tagged("path", "not_file")
        answer = range_answer(entry.content, request.headers.get("Range"))
        answer.headers["Dropbox-API-Result"] = json.dumps(self._metadata(entry))
        return answer

    def _files_get_metadata(self, space: Space, argument: Any, request: Request) -> Any:
        return self._metadata(self._entry(space, argument["path"]))

    def _files_list_folder(self, space: Space, argument: Any, request: Request) -> Any:
        folder = self._entry(space, argument["path"])
        if folder.is_file:
            raise tagged("path", "not_folder")
        below = folder.path.lower() + "/"
        found = [entry for path, entry in sorted(space.items()) if path.startswith(below)]
        return self._page([self._metadata(entry) for entry in [folder, *found]], argument.get("limit") or 500)

    def _files_list_folder_continue(self, space: Space, argument: Any, request: Request) -> Any:
        try:
            return self._page(*self._cursors.pop(argument["cursor"]))
        except KeyError:
            raise tagged("reset") from None

    def _files_delete_v2(self, space: Space, argument: Any, request: Request) -> Any:
        entry = self._entry(space, argument["path"], "path_lookup")
        self._check_writable(entry.path, "path_write")
        if argument.get("parent_rev") not in (None, entry.rev):
            raise tagged("path_write", "conflict", "file")
        below = entry.path.lower() + "/"
        for path in [path for path in space if path == below[:-1] or path.startswith(below)]:
            del space[path]
        return {"metadata": self._metadata(entry)}

    def _files_create_folder_v2(self, space: Space, argument: Any, request: Request) -> Any:
        self._check_writable(argument["path"], "path")
        parts = argument["path"].strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            path = "/" + "/".join(parts[:depth])
            space.setdefault(path.lower(), Entry(path, None, self.clock.utcnow()))
        return {"metadata": {**self._metadata(space[argument["path"].lower()])}}

    def _check_hash(self, argument: Any, body: bytes) -> None:
        if argument.get("content_hash") not in (None, hash_of(body)):
            raise tagged("content_hash_mismatch")

    def _session(self, cursor: Any, *around: str) -> UploadSession:
        session = self.sessions.get(cursor["session_id"])
        if session is None or session.began + timedelta(days=7) <= self.clock.utcnow():
            raise tagged(*around, "not_found")
        if session.closed:
            raise tagged(*around, "closed")
        if cursor["offset"] != len(session.content):
            raise tagged(*around, "incorrect_offset", correct_offset=len(session.content))
        return session

    def _why_not(self, space: Space, path: str, size: int) -> list[str]:
        """Return the tags that say why nothing can be written to `path`."""
        lower, above = path.lower(), path.lower().split("/")[1:-1]
        if any(lower == place or lower.startswith(f"{place}/") for place in self.read_only):
            return ["no_write_permission"]
        if lower.rpartition("/")[2] in ("desktop.ini", "thumbs.db", ".ds_store", ".dropbox"):
            return ["disallowed_name"]
        ancestors = ("/" + "/".join(above[: depth + 1]) for depth in range(len(above)))
        if any(space[ancestor].is_file for ancestor in ancestors if ancestor in space):
            return ["conflict", "file_ancestor"]
        if lower in space and not space[lower].is_file:
            return ["conflict", "folder"]
        used = sum(len(entry.content or b"") for each in self.spaces.values() for entry in each.values())
        return ["insufficient_space"] if used + size > self.space_bytes else []

    def _check_writable(self, path: str, *around: str) -> None:
        if any(path.lower().startswith(place) for place in self.read_only):
            raise tagged(*around, "no_write_permission")

    def _store(self, space: Space, path: str, content: bytes) -> Any:
        shown = ""
        for part in path.split("/")[1:-1]:  # a folder above keeps the case that it was made with
            folder = space.setdefault(f"{shown}/{part}".lower(), Entry(f"{shown}/{part}", None, self.clock.utcnow()))
            shown = folder.path
        entry = Entry(f"{shown}/{path.rpartition('/')[2]}", content, self.clock.utcnow())
        space[path.lower()] = entry
        return self._metadata(entry)

    def _entry(self, space: Space, path: str, around: str = "path") -> Entry:
        try:
            return space[path.lower()]
        except KeyError:
            raise tagged(around, "not_found") from None

    def _metadata(self, entry: Entry) -> dict[str, Any]:
        name = entry.path.rpartition("/")[2]
        common = {"name": name, "id": f"id:{name}", "path_lower": entry.path.lower(), "path_display": entry.path}
        if entry.content is None:
            return {".tag": "folder", **common}
        times = dict.fromkeys(("client_modified", "server_modified"), f"{entry.modified:%Y-%m-%dT%H:%M:%SZ}")
        size, content_hash = len(entry.content), hash_of(entry.content)
        return {".tag": "file", **common, **times, "rev": entry.rev, "size": size, "content_hash": content_hash}

    def _page(self, entries: list[Any], limit: int) -> Any:
        cursor = secrets.token_hex(8)
        self._cursors[cursor] = entries[limit:], limit
        return {"entries": entries[:limit], "cursor": cursor, "has_more": len(entries) > limit}

    # --- sharing

    def _sharing_create_shared_link_with_settings(self, space: Space, argument: Any, request: Request) -> Any:
        entry = self._entry(space, argument["path"])
        if any(link["path"] == entry.path.lower() for link in self.links.values()):
            raise tagged("shared_link_already_exists")
        url = f"https://www.dropbox.com/scl/fi/{secrets.token_hex(6)}/{entry.path.rpartition('/')[2]}"
        self.links[url] = {"path": entry.path.lower(), "url": url, ".tag": "file" if entry.is_file else "folder"}
        return self._set_link(url, argument["settings"])

    def _sharing_modify_shared_link_settings(self, space: Space, argument: Any, request: Request) -> Any:
        if argument.get("remove_expiration"):
            self.links[argument["url"]].pop("expires", None)
        if "access" in argument["settings"]:
            raise tagged("settings_error", "invalid_settings")
        return self._set_link(argument["url"], argument["settings"])

    def _sharing_list_shared_links(self, space: Space, argument: Any, request: Request) -> Any:
        self._entry(space, argument["path"])
        path = argument["path"].lower()
        return {"links": [self._link(link) for link in self.links.values() if link["path"] == path], "has_more": False}

    def _sharing_revoke_shared_link(self, space: Space, argument: Any, request: Request) -> Any:
        if self.links.pop(argument["url"], None) is None:
            raise tagged("shared_link_not_found")
        return Answer(200, None)

    def _sharing_share_folder(self, space: Space, argument: Any, request: Request) -> Any:
        self._files_create_folder_v2(space, argument, request)  # documented: a missing one is made
        entry = self._entry(space, argument["path"], "bad_path")
        if entry.path.lower() in self.members:
            raise tagged("bad_path", "already_shared", **self._shared_folder(entry))
        self.members[entry.path.lower()] = []
        return {".tag": "complete", **self._shared_folder(entry)}

    def _sharing_add_folder_member(self, space: Space, argument: Any, request: Request) -> Any:
        path = bytes.fromhex(argument["shared_folder_id"]).decode()
        for member in argument["members"]:
            self.members[path].append(f"{member['member']['email']} {member['access_level']['.tag']}")
        return Answer(200, None)

    def _set_link(self, url: str, settings: Any) -> Any:
        if (settings.get("require_password") or settings.get("expires")) and not self.link_settings:
            raise tagged("settings_error", "not_authorized")
        link = self.links[url]
        link["password"] = settings.get("link_password") if settings.get("require_password") else None
        if "expires" in settings:
            link["expires"] = settings["expires"]
        return self._link(link)

    def _link(self, link: dict[str, Any]) -> dict[str, Any]:
        allowed = ("can_revoke", "can_set_expiry", "can_remove_expiry", "allow_download", "can_allow_download")
        permissions = {
            "visibility_policies": [],
            "require_password": bool(link["password"]),
            **dict.fromkeys((*allowed, "can_disallow_download"), True),
            **dict.fromkeys(("allow_comments", "team_restricts_comments"), False),
        }
        shown = {".tag": link[".tag"], "url": link["url"], "name": "x", "rev": "a1b2c3d4e5f6", "size": 1, **_TIMES}
        return {**shown, **({"expires": link["expires"]} if "expires" in link else {}), "link_permissions": permissions}

    def _shared_folder(self, entry: Entry) -> dict[str, Any]:
        return {
            "shared_folder_id": entry.path.lower().encode().hex(),
            "access_type": {".tag": "owner"},
            "access_inheritance": {".tag": "inherit"},
            "policy": {"acl_update_policy": {".tag": "owner"}, "shared_link_policy": {".tag": "anyone"}},
            "name": "x",
            "preview_url": "https://www.dropbox.com/x",
            "time_invited": "2026-06-12T12:00:00Z",
            **dict.fromkeys(("is_inside_team_folder", "is_team_folder"), False),
        }
