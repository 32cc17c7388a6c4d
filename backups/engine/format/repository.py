"""A vault on one store: open it, and read or write its files. One object per (vault, location)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from backups.engine.errors import Damaged, RepositoryExists, RepositoryMissing, WrongKey
from backups.engine.format import (
    CONFIG_NAME,
    REPOSITORY_VERSION,
    BlobType,
    FileKind,
    compression,
    file_name,
    format_time,
    hash_hex,
)
from backups.engine.format.crypto import MasterKey
from backups.engine.format.index import Index, decode_records
from backups.engine.format.key import ScryptCost, make_key_file, open_key_file
from backups.engine.format.pack import open_blob
from backups.engine.format.polynomial import is_irreducible, random_polynomial
from backups.engine.format.snapshot import Snapshot, decode_snapshot
from backups.engine.format.tree import Node, decode_tree
from providers.stores.base import Buffer, ObjectInfo, ObjectStore
from providers.stores.errors import ObjectNotFound

_COMPRESSED_JSON = 2  # first plain byte of an unpacked file whose JSON is a zstd frame


@dataclass(frozen=True, slots=True)
class Config:
    """The repository's identity. polynomial: of restic's chunker; ours takes it as its seed."""

    repository_id: str
    polynomial: int


@dataclass(frozen=True, slots=True)
class NewVault:
    """The three things that every copy of a new vault starts with; the same bytes go to each location."""

    config_file: bytes
    key_file: bytes
    config: Config
    master: MasterKey


def new_vault(secret: bytes, *, now: int, cost: ScryptCost) -> NewVault:
    """Make the config and the first key file of a vault.

    secret: what opens the key file.   now: Unix time [ns].
    """
    master = MasterKey.random()
    config = Config(os.urandom(32).hex(), random_polynomial())
    plain = {
        "version": REPOSITORY_VERSION,
        "id": config.repository_id,
        "chunker_polynomial": f"{config.polynomial:x}",
    }
    key_file = make_key_file(
        master, secret, created=format_time(now), username="wedbackup", hostname=socket.gethostname(), cost=cost
    )
    return NewVault(master.seal(orjson.dumps(plain)), key_file, config, master)


def pack_document(master: MasterKey, document: dict[str, Any]) -> tuple[str, bytes]:
    """Return (file id, stored bytes) of an unpacked JSON file: index, snapshot or lock."""
    stored = master.seal(bytes([_COMPRESSED_JSON]) + compression.compress(orjson.dumps(document)))
    return hash_hex(stored), stored


def unpack_document(master: MasterKey, file_id: str, stored: Buffer) -> dict[str, Any]:
    """Return the JSON object of an unpacked file; raises Damaged when the bytes do not fit the id or the key."""
    if hash_hex(stored) != file_id:
        raise Damaged(f"file {file_id[:12]} has another content than its name says")
    plain = bytes(master.open(stored))
    try:
        document = orjson.loads(compression.decompress(plain[1:]) if plain[:1] == b"\x02" else plain)
    except ValueError as exc:
        raise Damaged(f"file {file_id[:12]} is no JSON") from exc
    if not isinstance(document, dict):
        raise Damaged(f"file {file_id[:12]} is no JSON object")
    return document


class Repository:
    """One copy of a vault.

    store:  the location, already wrapped (retries, breaker ...).
    prefix: where in it the vault lies, "" or ending in "/".
    """

    def __init__(self, store: ObjectStore, prefix: str, master: MasterKey, config: Config) -> None:
        self.store = store
        self.prefix = prefix
        self.master = master
        self.config = config
        self.index = Index()

    @classmethod
    def create(cls, store: ObjectStore, prefix: str, vault: NewVault) -> Repository:
        """Write `vault` to an empty prefix: the key file first, then the config, which makes it exist.

        Raises RepositoryExists when another vault is there; repeating it for the same vault is harmless.
        """
        try:
            present = store.get(prefix + CONFIG_NAME)
        except ObjectNotFound:
            present = None
        if present is not None and present != vault.config_file:
            raise RepositoryExists("another vault is stored at this place already")
        key_id = hash_hex(vault.key_file)
        store.put(prefix + file_name(FileKind.KEYS, key_id), vault.key_file, sha256=key_id)
        store.put(prefix + CONFIG_NAME, vault.config_file, sha256=hash_hex(vault.config_file))
        return cls(store, prefix, vault.master, vault.config)

    @classmethod
    def open(cls, store: ObjectStore, prefix: str, secret: bytes) -> Repository:
        """Open the vault with `secret`. Raises RepositoryMissing, WrongKey, Damaged or a StoreError."""
        try:
            config_file = store.get(prefix + CONFIG_NAME)
        except ObjectNotFound as exc:
            raise RepositoryMissing("there is no vault here: its config file is missing") from exc
        master = _find_master(store, prefix, secret)
        return cls(store, prefix, master, read_config(master, config_file))

    @classmethod
    def open_with_master(cls, store: ObjectStore, prefix: str, master: MasterKey) -> Repository:
        """Open the vault with its master key; raises like `open`, WrongKey when config does not open with it."""
        try:
            config_file = store.get(prefix + CONFIG_NAME)
        except ObjectNotFound as exc:
            raise RepositoryMissing("there is no vault here: its config file is missing") from exc
        try:
            return cls(store, prefix, master, read_config(master, config_file))
        except Damaged as exc:
            raise WrongKey("the config file does not open with this vault's key") from exc

    def name(self, kind: FileKind, file_id: str) -> str:
        """Return the store's object name of a repository file."""
        return self.prefix + file_name(kind, file_id)

    def files(self, kind: FileKind) -> Iterator[tuple[str, ObjectInfo]]:
        """Yield (file id, info) of all files of one kind; names that are no id are passed over."""
        for info in self.store.list(f"{self.prefix}{kind.value}/"):
            file_id = info.name.rsplit("/", 1)[1]
            if len(file_id) == 64:
                yield file_id, info

    def load_document(self, kind: FileKind, file_id: str) -> dict[str, Any]:
        """Return the JSON object of an index, snapshot or lock file; raises Damaged or a StoreError."""
        return unpack_document(self.master, file_id, self.store.get(self.name(kind, file_id)))

    def save_document(self, kind: FileKind, document: dict[str, Any]) -> str:
        """Seal and store a JSON object; return its file id."""
        file_id, stored = pack_document(self.master, document)
        self.store.put(self.name(kind, file_id), stored, sha256=file_id)
        return file_id

    def load_index(self) -> Index:
        """Read all index files into `self.index` (anew) and return it."""
        index = Index()
        for file_id, _ in list(self.files(FileKind.INDEX)):
            for record in decode_records(self.load_document(FileKind.INDEX, file_id)):
                index.add(record)
        self.index = index
        return index

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots, oldest first. Lists them before anything loads the index, as readers must."""
        kind = FileKind.SNAPSHOTS
        found = [decode_snapshot(file_id, self.load_document(kind, file_id)) for file_id, _ in self.files(kind)]
        return sorted(found, key=lambda snapshot: snapshot.time)

    def load_blob(self, blob_type: BlobType, blob_id: bytes) -> bytes | memoryview:
        """Return one blob's plain text, verified. Raises BlobMissing, Damaged or a StoreError."""
        entry = self.index.get(blob_type, blob_id)
        stored = self.store.get(self.name(FileKind.DATA, entry.pack_id), offset=entry.offset, length=entry.length)
        return open_blob(self.master, stored, entry.plain_length, blob_id)

    def load_tree(self, tree_id: bytes) -> list[Node]:
        """Return the nodes of a tree. Raises BlobMissing, Damaged or a StoreError."""
        return decode_tree(self.load_blob(BlobType.TREE, tree_id))


def _find_master(store: ObjectStore, prefix: str, secret: bytes) -> MasterKey:
    """Return the master key from the first key file that opens; a damaged one does not hide a good one."""
    tried = 0
    damaged: Damaged | None = None
    for info in store.list(f"{prefix}{FileKind.KEYS.value}/"):
        tried += 1
        try:
            master = open_key_file(store.get(info.name), secret)
        except Damaged as exc:
            damaged = exc
            continue
        if master is not None:
            return master
    if damaged is not None:
        raise damaged
    if not tried:
        raise WrongKey("the vault has no key file left at this place")
    raise WrongKey(f"none of the vault's {tried} key files opens with this secret")


def read_config(master: MasterKey, config_file: bytes) -> Config:
    """Return what a stored config file says; raises Damaged when it does not open with `master` or is no config."""
    try:
        fields = orjson.loads(bytes(master.open(config_file)))
        config = Config(fields["id"], int(fields["chunker_polynomial"], 16))
        version = fields["version"]
    except (KeyError, TypeError, ValueError) as exc:
        raise Damaged("the config file cannot be read") from exc
    if version != REPOSITORY_VERSION:
        raise Damaged(f"repository version {version} is not supported, only {REPOSITORY_VERSION}")
    if not is_irreducible(config.polynomial):
        raise Damaged("the config's chunker polynomial is reducible")
    return config
