"""A small honest fake of the Box API, for the official SDK; files are kept in memory.

What it does like the real one, and where that is written (https://developer.box.com):
- an app gets a token for its service account by client credentials and enterprise id; it lives an hour, and a request
  with an old one is 401 with an empty body (/guides/authentication/client-credentials/);
- refusals are JSON with a code (/guides/api-calls/permissions-and-errors/common-errors/);
- names are unique in a folder without regard to case; item_name_in_use tells the id and SHA-1 of who has it, for a
  file as an object, for a folder as a list (/reference/options-files-content/, /reference/post-folders/);
- the header Content-MD5 holds a SHA-1, which is checked; attributes come before the file in the form
  (/reference/post-files-content/);
- upload sessions take files from 20 MB on, parts of one size at multiples of it, each with its digest; parts can be
  listed; a commit may answer 202 while parts are put together; sessions live 7 days (/guides/uploads/chunked/);
- a download is a redirect to a signed address (/reference/get-files-id-content/);
- deleted items go to the trash, where their ids answer 404 "trashed";
- listings of folders come in pages with a marker; free-form metadata is created once, then patched (409).

Not documented, so assumed: a wrong digest of a part or commit is "bad_digest" too; a folder that has the name wanted
for a file is told by the check before an upload (rclone relies on it).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from tests.servers.fake_http import Answer, Refused, Request, range_answer, serving
from wedbackup.core.clock import SYSTEM_CLOCK, Clock

SESSION_BYTES_MIN = 20_000_000
PART_BYTES = 8 * 1024 * 1024
ROOT = "0"
_LINK = {"effective_permission": "can_download", "is_download_enabled": True, "download_count": 0, "preview_count": 0}


@dataclass
class Entry:
    """A file, or a folder if there is no content."""

    id: str
    name: str
    parent: str
    content: bytes | None
    modified: datetime
    old: list[bytes] = field(default_factory=list)
    trashed: bool = False
    metadata: dict[str, str] | None = None
    link: dict[str, Any] | None = None
    people: list[str] = field(default_factory=list)

    @property
    def sha1(self) -> str:
        return hashlib.sha1(self.content or b"").hexdigest()


@dataclass
class UploadSession:
    """Where it will go; `file_id` for a new version of that file."""

    folder_id: str
    name: str
    size: int
    file_id: str | None
    began: datetime
    parts: dict[int, dict[str, Any]] = field(default_factory=dict)
    pieces: dict[int, bytes] = field(default_factory=dict)


def refused(status: int, code: str, message: str = "no", **context: Any) -> Refused:
    body = {"type": "error", "status": status, "code": code, "message": message, "context_info": context}
    return Refused(Answer(status, {**body, "request_id": "abcdef123456", "help_url": "https://developer.box.com"}))


class BoxCloud:
    """One enterprise with one app. Change its attributes to make it refuse.

    read_only:   whether the service account may only look.
    space_bytes: how much may be stored [bytes].
    assembling:  how many commits are answered with "not yet".
    download_url: where the signed addresses of downloads lead.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.clock = clock
        self.url = self.download_url = ""
        self.client_id, self.client_secret, self.enterprise_id = "the-client-id", "the-client-secret", "900100"
        self.read_only, self.space_bytes, self.assembling, self.metadata_allowed = False, 2**40, 0, True
        self.entries = {ROOT: Entry(ROOT, "All Files", "", None, clock.utcnow())}
        self.sessions: dict[str, UploadSession] = {}
        self.tokens: dict[str, datetime] = {}
        self._downloads: dict[str, bytes] = {}
        self._ids = iter(range(1_000_001, 10_000_000))
        self._lock = threading.RLock()
        self._routes = [(method, re.compile(path), step) for method, path, step in self._table()]

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve; yield the address, which is then `url` too."""
        with serving(self.answer) as self.url:
            self.download_url = self.url
            yield self.url

    def make_folder(self, name: str, parent: str = ROOT) -> str:
        """Return the id of a new folder."""
        return self._add(name, parent, None).id

    def child(self, parent: str, name: str) -> Entry | None:
        """Return what has this name in a folder."""
        found = (entry for entry in self.entries.values() if entry.parent == parent and not entry.trashed)
        return next((entry for entry in found if entry.name.lower() == name.lower()), None)

    def answer(self, request: Request) -> Answer:
        with self._lock:
            for method, path, step in self._routes:
                if method == request.method and (match := path.fullmatch(request.path)):
                    if "oauth2" not in request.path and not request.path.startswith("/dl/"):
                        self._check_token(request)
                    result = step(request, *match.groups())
                    return result if isinstance(result, Answer) else Answer(200, result)
        raise refused(405, "method_not_allowed")

    def _table(self) -> list[tuple[str, str, Any]]:
        session, file, folder = r"/api/2\.0/files/upload_sessions", r"/2\.0/files/(\d+)", r"/2\.0/folders/([\w-]+)"
        return [
            ("POST", "/oauth2/token", self._token),
            ("OPTIONS", r"/2\.0/files/content", self._preflight),
            ("POST", r"/api/2\.0/files/content", self._upload),
            ("POST", r"/api/2\.0/files/(\d+)/content", self._upload),
            ("POST", session, self._begin_session),
            ("POST", r"/api/2\.0/files/(\d+)/upload_sessions", self._begin_session),
            ("PUT", f"{session}/([0-9a-f]+)", self._part),
            ("GET", f"{session}/([0-9a-f]+)/parts", self._parts),
            ("POST", f"{session}/([0-9a-f]+)/commit", self._commit),
            ("DELETE", f"{session}/([0-9a-f]+)", self._abort),
            ("GET", file, self._get_item),
            ("PUT", file, self._put_item),
            ("DELETE", file, self._delete),
            ("GET", f"{file}/content", self._redirect),
            ("GET", "/dl/([0-9a-f]+)", self._download),
            ("POST", f"{file}/metadata/global/properties", self._create_metadata),
            ("PUT", f"{file}/metadata/global/properties", self._patch_metadata),
            ("POST", r"/2\.0/folders", self._create_folder),
            ("GET", folder, self._get_item),
            ("PUT", folder, self._put_item),
            ("GET", f"{folder}/items", self._items),
            ("POST", r"/2\.0/collaborations", self._collaborate),
        ]

    # --- who asks

    def _token(self, request: Request) -> Any:
        form = dict(parse_qsl(request.body.decode()))
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            text = "The client credentials are invalid"
            return Answer(400, {"error": "invalid_client", "error_description": text})
        if (form.get("box_subject_type"), form.get("box_subject_id")) != ("enterprise", self.enterprise_id):
            return Answer(400, {"error": "invalid_grant", "error_description": "Grant credentials are invalid"})
        token = secrets.token_hex(8)
        self.tokens[token] = self.clock.utcnow() + timedelta(hours=1)
        return {"access_token": token, "expires_in": 3600, "token_type": "bearer", "restricted_to": []}

    def _check_token(self, request: Request) -> None:
        expires = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if expires is None or expires <= self.clock.utcnow():
            raise Refused(Answer(401, b"", {"WWW-Authenticate": 'Bearer realm="Service", error="invalid_token"'}))

    # --- uploads

    def _preflight(self, request: Request) -> Any:
        wanted = request.json()
        self._check_room(wanted["parent"]["id"], wanted["name"], wanted.get("size", 0))
        return {"upload_url": f"{self.url}/api/2.0/files/content", "upload_token": ""}

    def _upload(self, request: Request, file_id: str | None = None) -> Any:
        attributes, content = self._form(request)
        if request.headers.get("Content-MD5", hashlib.sha1(content).hexdigest()) != hashlib.sha1(content).hexdigest():
            raise refused(400, "bad_digest", "The specified content-md5 did not match what we received")
        if file_id:
            return self._entries(self._new_version(file_id, content))
        self._check_room(attributes["parent"]["id"], attributes["name"], len(content))
        return self._entries(self._add(attributes["name"], attributes["parent"]["id"], content))

    def _form(self, request: Request) -> tuple[Any, bytes]:
        """Return the attributes and the content in the form of an upload."""
        (first, attributes), (_, content) = request.form()
        if b'name="attributes"' not in first:
            raise refused(400, "metadata_after_file_contents")
        return json.loads(attributes), content

    def _begin_session(self, request: Request, file_id: str | None = None) -> Any:
        wanted = request.json()
        size = wanted["file_size"]
        if size < SESSION_BYTES_MIN:
            raise refused(400, "file_size_too_small", "file_size must be at least 20000000")
        if file_id:
            self._item(file_id)
            self._check_space(size)
        else:
            self._check_room(wanted["folder_id"], wanted["file_name"], size)
        name, now = secrets.token_hex(8), self.clock.utcnow()
        self.sessions[name] = UploadSession(wanted.get("folder_id", ""), wanted["file_name"], size, file_id, now)
        return Answer(201, {"id": name, "part_size": PART_BYTES, "total_parts": -(-size // PART_BYTES)})

    def _part(self, request: Request, name: str) -> Any:
        session = self._session(name)
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", request.headers["Content-Range"])
        assert found
        start, last, total = map(int, found.groups())
        if total != session.size or start % PART_BYTES or last + 1 != min(start + PART_BYTES, total):
            raise refused(416, "invalid_range")
        if len(request.body) != last + 1 - start or request.headers["Digest"] != _digest(request.body):
            raise refused(400, "bad_digest", "The specified digest did not match what we received")
        if start in session.parts:
            raise refused(409, "range_overlaps_existing_range")
        part = {"part_id": secrets.token_hex(4), "offset": start, "size": len(request.body)}
        session.parts[start] = {**part, "sha1": hashlib.sha1(request.body).hexdigest()}
        session.pieces[start] = request.body
        return {"part": session.parts[start]}

    def _parts(self, request: Request, name: str) -> Any:
        start, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 1000))
        parts = sorted(self._session(name).parts.values(), key=lambda part: int(part["offset"]))
        return {"total_count": len(parts), "entries": parts[start : start + limit], "offset": start, "limit": limit}

    def _commit(self, request: Request, name: str) -> Any:
        session = self._session(name)
        if self.assembling:
            self.assembling -= 1
            return Answer(202, b"", {"Retry-After": "1"})
        content = b"".join(session.pieces[start] for start in sorted(session.pieces))
        named = [part["part_id"] for part in request.json()["parts"]]
        if len(content) != session.size or sorted(named) != sorted(part["part_id"] for part in session.parts.values()):
            raise refused(400, "bad_request", "parts are missing")
        if request.headers["Digest"] != _digest(content):
            raise refused(400, "bad_digest")
        if session.file_id:
            stored = self._new_version(session.file_id, content)
        else:
            self._check_room(session.folder_id, session.name, len(content))
            stored = self._add(session.name, session.folder_id, content)
        del self.sessions[name]
        return self._entries(stored)

    def _abort(self, request: Request, name: str) -> Any:
        self._session(name)
        del self.sessions[name]
        return Answer(204)

    # --- files and folders

    def _get_item(self, request: Request, item_id: str) -> Any:
        item = self._item(item_id)
        shown = self._shown(item)
        if "metadata.global.properties" in request.query.get("fields", "") and item.metadata is not None:
            shown["metadata"] = {"global": {"properties": {"$template": "properties", **item.metadata}}}
        return shown

    def _put_item(self, request: Request, item_id: str) -> Any:
        item, wanted = self._item(item_id), request.json()["shared_link"]
        if wanted is None:
            item.link = None
            return self._shown(item)
        if len(wanted.get("password") or "long enough") < 8:
            raise refused(400, "bad_request", "The password must be at least 8 characters long")
        kept = item.link or {"url": f"https://app.box.com/s/{secrets.token_hex(8)}"}
        secured = bool(wanted["password"]) if "password" in wanted else kept.get("is_password_enabled", False)
        until = wanted["unshared_at"] if "unshared_at" in wanted else kept.get("unshared_at")
        access = {"access": wanted["access"], "effective_access": wanted["access"]}
        item.link = {**kept, **access, "is_password_enabled": secured, "unshared_at": until, **_LINK}
        return self._shown(item)

    def _delete(self, request: Request, item_id: str) -> Any:
        item = self._item(item_id)
        self._check_writable()
        item.trashed = True
        return Answer(204)

    def _redirect(self, request: Request, item_id: str) -> Any:
        item, token = self._item(item_id), secrets.token_hex(16)
        versions = {f"{item.id}{number}": content for number, content in enumerate([*item.old, item.content or b""])}
        self._downloads[token] = (
            versions[request.query["version"]] if "version" in request.query else item.content or b""
        )
        return Answer(302, b"", {"Location": f"{self.download_url}/dl/{token}"})

    def _download(self, request: Request, token: str) -> Any:
        return range_answer(self._downloads[token], request.headers.get("Range"))

    def _create_metadata(self, request: Request, item_id: str) -> Any:
        item = self._item(item_id)
        if not self.metadata_allowed:
            raise refused(403, "access_denied_insufficient_permissions")
        if item.metadata is not None:
            raise refused(409, "tuple_already_exists")
        item.metadata = request.json()
        return Answer(201, {"$template": "properties", "$scope": "global", **(item.metadata or {})})

    def _patch_metadata(self, request: Request, item_id: str) -> Any:
        item = self._item(item_id)
        for change in request.json():
            assert change["op"] == "add"
            item.metadata = {**(item.metadata or {}), change["path"][1:]: change["value"]}
        return {"$template": "properties", "$scope": "global", **(item.metadata or {})}

    def _create_folder(self, request: Request) -> Any:
        wanted = request.json()
        if found := self.child(wanted["parent"]["id"], wanted["name"]):
            raise refused(409, "item_name_in_use", conflicts=[self._shown(found)])
        self._check_room(wanted["parent"]["id"], wanted["name"], 0)
        return Answer(201, self._shown(self._add(wanted["name"], wanted["parent"]["id"], None)))

    def _items(self, request: Request, folder_id: str) -> Any:
        self._item(folder_id)
        inside = [entry for entry in self.entries.values() if entry.parent == folder_id and not entry.trashed]
        start, limit = int(request.query.get("marker") or 0), int(request.query["limit"])
        marker = str(start + limit) if start + limit < len(inside) else ""
        shown = [self._shown(entry) for entry in inside[start : start + limit]]
        return {"entries": shown, "limit": limit, "next_marker": marker}

    def _collaborate(self, request: Request) -> Any:
        wanted = request.json()
        folder, login = self._item(wanted["item"]["id"]), wanted["accessible_by"]["login"]
        if any(person.startswith(f"{login} ") for person in folder.people):
            raise refused(400, "user_already_collaborator")
        folder.people.append(f"{login} {wanted['role']}")
        return Answer(201, {"type": "collaboration", "id": "791293", "role": wanted["role"]})

    def _item(self, item_id: str) -> Entry:
        if item_id not in self.entries:
            raise refused(404, "not_found")
        if self.entries[item_id].trashed:
            raise refused(404, "trashed")
        return self.entries[item_id]

    def _session(self, name: str) -> UploadSession:
        session = self.sessions.get(name)
        if session is None or session.began + timedelta(days=7) <= self.clock.utcnow():
            raise refused(404, "not_found")
        return session

    def _check_writable(self) -> None:
        if self.read_only:
            raise refused(403, "access_denied_insufficient_permissions", "Access denied - insufficient permission")

    def _check_space(self, size: int) -> None:
        if sum(len(entry.content or b"") for entry in self.entries.values()) + size > self.space_bytes:
            raise refused(403, "storage_limit_exceeded", "Account storage limit reached")

    def _check_room(self, folder_id: str, name: str, size: int) -> None:
        self._item(folder_id)
        self._check_writable()
        if any(ord(letter) > 0xFFFF for letter in name) or name != name.strip():
            raise refused(400, "item_name_invalid", "Item name invalid")
        if len(name) > 255:
            raise refused(400, "item_name_too_long", "Item name too long")
        if found := self.child(folder_id, name):
            raise refused(409, "item_name_in_use", conflicts=self._shown(found))
        self._check_space(size)

    def _add(self, name: str, parent: str, content: bytes | None) -> Entry:
        entry = Entry(str(next(self._ids)), name, parent, content, self.clock.utcnow())
        self.entries[entry.id] = entry
        return entry

    def _new_version(self, file_id: str, content: bytes) -> Entry:
        entry = self._item(file_id)
        self._check_writable()
        self._check_space(len(content))
        entry.old.append(entry.content or b"")
        entry.content, entry.modified = content, self.clock.utcnow()
        return entry

    def _entries(self, entry: Entry) -> Answer:
        return Answer(201, {"total_count": 1, "entries": [self._shown(entry)]})

    def _shown(self, entry: Entry) -> dict[str, Any]:
        shown = {"id": entry.id, "name": entry.name, "etag": str(len(entry.old)), "shared_link": entry.link}
        if entry.content is None:
            return {"type": "folder", **shown}
        version = {"id": f"{entry.id}{len(entry.old)}", "type": "file_version", "sha1": entry.sha1}
        modified = f"{entry.modified:%Y-%m-%dT%H:%M:%S}-00:00"
        sizes = {"sha1": entry.sha1, "size": len(entry.content), "modified_at": modified}
        return {"type": "file", **shown, **sizes, "file_version": version}


def _digest(content: bytes) -> str:
    return f"sha={base64.b64encode(hashlib.sha1(content).digest()).decode()}"
