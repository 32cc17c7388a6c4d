"""The key files of a vault: who can open it. The master key itself never changes here.

Adding or removing a key file changes who can get at the master key, not what the data is sealed with: somebody who had
the master key before keeps it. Every change goes to all copies; what a copy misses, mirroring brings later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from backups.engine.errors import Damaged, EngineError, WrongKey
from backups.engine.format import FileKind, format_time, hash_hex, to_nanoseconds
from backups.engine.format.key import ScryptCost, make_key_file, open_key_file
from backups.engine.format.repository import Repository
from backups.engine.upkeep.copies import Copy, fetch_verified, list_kind, object_name
from backups.engine.upkeep.exclusive import lock_each
from providers.stores.errors import StoreError
from wedbackup.core.clock import Clock


class LastKey(EngineError):
    """The change would leave a copy that nobody can open."""

    advice = "Add the new key first and make sure that it opens every copy, then remove the old one."


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One key file as its maker described it. created: RFC 3339 text."""

    key_id: str
    created: str
    username: str
    hostname: str


@dataclass(slots=True)
class KeyChange:
    """key_id: of the file added or removed.   done: labels of the copies that have the change.   failures: why not."""

    key_id: str
    done: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def list_keys(copies: Mapping[str, Copy]) -> dict[str, list[KeyInfo]]:
    """Return the readable key files of each copy, oldest first. Raises StoreError."""
    return {label: sorted(_keys_of(copy), key=lambda info: info.created) for label, copy in copies.items()}


def _keys_of(copy: Copy) -> Iterable[KeyInfo]:
    for key_id in list_kind(copy, FileKind.KEYS):
        raw = fetch_verified(copy, FileKind.KEYS, key_id)
        if raw is None:
            continue
        try:
            fields = orjson.loads(raw)
            yield KeyInfo(key_id, fields["created"], fields.get("username", ""), fields.get("hostname", ""))
        except (KeyError, TypeError, ValueError):
            continue


def add_key(
    copies: Mapping[str, Repository],
    new_secret: bytes,
    *,
    now: datetime,
    username: str,
    hostname: str,
    cost: ScryptCost,
) -> KeyChange:
    """Put the same new key file at every copy; `new_secret` opens the vault from then on.

    cost: of the derivation; FOR_PASSPHRASES for anything a person chose.

    Raises StoreError when no copy could take it; trouble at single copies is in `failures`.
    """
    master = next(iter(copies.values())).master
    created = format_time(to_nanoseconds(now))
    raw = make_key_file(master, new_secret, created=created, username=username, hostname=hostname, cost=cost)
    change = KeyChange(hash_hex(raw))
    last: StoreError | None = None
    for label, repository in copies.items():
        name = repository.name(FileKind.KEYS, change.key_id)
        try:
            if repository.store.put(name, raw, sha256=change.key_id).proof is None:
                repository.store.verify(name, sha256=change.key_id)
        except StoreError as exc:
            change.failures[label] = str(exc)
            last = exc
        else:
            change.done.append(label)
    if last is not None and not change.done:
        raise last
    return change


def remove_key(copies: Mapping[str, Repository], key_id: str, *, remaining_secret: bytes, clock: Clock) -> KeyChange:
    """Remove a key file from every copy, once it is proved that another one still opens each of them.

    key_id:           hex id of the key file.
    remaining_secret: a secret that shall open the vault afterwards.

    Raises LastKey before anything is removed when it does not open every copy that answers without this file; Locked
    or StoreError when no copy can be worked on.
    """
    change = KeyChange(key_id)
    with contextlib.ExitStack() as stack:
        held = lock_each(stack, copies, clock, change.failures)
        for label, (repository, _) in held.items():
            if not _opens_without(repository, key_id, remaining_secret):
                raise LastKey(f"without this key nobody could be sure to open the copy {label}")
        for label, (repository, hold) in held.items():
            try:
                hold.confirm()
                repository.store.delete(object_name(repository, FileKind.KEYS, key_id))
            except StoreError as exc:
                change.failures[label] = str(exc)
            else:
                change.done.append(label)
    return change


def _opens_without(repository: Repository, key_id: str, secret: bytes) -> bool:
    """Whether `secret` opens a whole key file other than `key_id` to this vault's master key."""
    for other in list_kind(repository, FileKind.KEYS):
        if other == key_id:
            continue
        raw = fetch_verified(repository, FileKind.KEYS, other)
        try:
            master = open_key_file(raw, secret) if raw is not None else None
        except Damaged:
            continue
        if master is not None:
            if master.encrypt != repository.master.encrypt:
                raise WrongKey("a key file of this copy belongs to another vault")
            return True
    return False
