"""A small reader of restic repositories (doc/design.rst), written for the oracle alone.

It shares nothing with the product's engine, so that an error in one is no error in both. It reads a repository in a
folder, believes nothing (hash of every file and every blob, tag of every seal), and returns the content of a snapshot.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

_BLOB_KINDS = {0: False, 1: False, 2: True, 3: True}  # whether it is compressed


class Unreadable(Exception):
    """Something that should be there is not, or is not what its name says."""


@dataclass(frozen=True)
class Keys:
    """What opens a repository."""

    encrypt: bytes
    mac_k: bytes
    mac_r: bytes

    def open(self, sealed: bytes) -> bytes:
        nonce, text, tag = sealed[:16], sealed[16:-16], sealed[-16:]
        one_time = Cipher(algorithms.AES(self.mac_k), modes.ECB()).encryptor().update(nonce)
        try:
            Poly1305.verify_tag(self.mac_r + one_time, text, tag)
        except InvalidSignature:
            raise Unreadable("a seal is broken") from None
        return Cipher(algorithms.AES(self.encrypt), modes.CTR(nonce)).decryptor().update(text)


def keys_from(raw: bytes, password: bytes) -> Keys:
    """Open a key file. Raises Unreadable."""
    try:
        told = json.loads(raw)
        salt, cost = base64.b64decode(told["salt"]), {"n": told["N"], "r": told["r"], "p": told["p"]}
        derived = hashlib.scrypt(password, salt=salt, dklen=64, maxmem=2**30, **cost)
        outer = Keys(derived[:32], derived[32:48], derived[48:])
        inner = json.loads(outer.open(base64.b64decode(told["data"])))
    except (ValueError, KeyError) as exc:
        raise Unreadable("a key file makes no sense") from exc
    mac = inner["mac"]
    return Keys(*(base64.b64decode(part) for part in (inner["encrypt"], mac["k"], mac["r"])))


@dataclass
class Repository:
    """One repository. `packs` remembers what was verified, by file identity: reading all at each step is too slow."""

    folder: Path
    keys: Keys
    packs: dict[tuple[str, int, int, int], dict[str, bytes]] = field(default_factory=dict)

    def snapshot_ids(self) -> set[str]:
        return {path.name for path in self._files("snapshots")}

    def content(self, snapshot_id: str) -> dict[str, bytes]:
        """Return every regular file of a snapshot by its absolute path. Raises Unreadable for less than the whole."""
        self._check_head()
        snapshot = self._document(self.folder / "snapshots" / snapshot_id)
        blobs = self._blobs()
        return dict(self._walk(snapshot["tree"], "", blobs))

    def _check_head(self) -> None:
        config = self.folder / "config"
        if not config.exists() or not any(self._files("keys")):
            raise Unreadable("config or key is missing")
        self.keys.open(config.read_bytes())
        for path in self._files("keys"):
            self._named(path)

    def _files(self, kind: str) -> Iterator[Path]:
        folder = self.folder / kind
        return (path for path in sorted(folder.rglob("*")) if path.is_file()) if folder.exists() else iter(())

    def _named(self, path: Path) -> bytes:
        try:
            raw = path.read_bytes()
        except OSError as exc:
            raise Unreadable(f"{path.parent.name}/{path.name[:8]} cannot be read") from exc
        if hashlib.sha256(raw).hexdigest() != path.name:
            raise Unreadable(f"{path.parent.name}/{path.name[:8]} is not what its name says")
        return raw

    def _document(self, path: Path) -> dict[str, Any]:
        plain = self.keys.open(self._named(path))
        text = plain if plain[:1] in (b"{", b"[") else _unzipped(plain[1:])
        return dict(json.loads(text))

    def _blobs(self) -> dict[str, bytes]:
        """Return every blob that an index names and its pack holds, by id."""
        found: dict[str, bytes] = {}
        for path in self._files("index"):
            for pack in self._document(path)["packs"]:
                held = self._pack(pack["id"])
                found.update({blob["id"]: held[blob["id"]] for blob in pack["blobs"] if blob["id"] in held})
        return found

    def _pack(self, pack_id: str) -> dict[str, bytes]:
        path = self.folder / "data" / pack_id[:2] / pack_id
        try:
            status = path.stat()
        except OSError:
            return {}
        key = (pack_id, status.st_ino, status.st_mtime_ns, status.st_size)
        if key not in self.packs:
            try:
                self.packs[key] = self._opened(self._named(path))
            except Unreadable:
                self.packs[key] = {}
        return self.packs[key]

    def _opened(self, raw: bytes) -> dict[str, bytes]:
        (length,) = struct.unpack("<I", raw[-4:])
        header, offset, found = self.keys.open(raw[-4 - length : -4]), 0, {}
        at = 0
        while at < len(header):
            compressed = _BLOB_KINDS[header[at]]
            (stored,) = struct.unpack_from("<I", header, at + 1)
            at += 9 if compressed else 5
            blob_id, at = header[at : at + 32].hex(), at + 32
            plain = self.keys.open(raw[offset : offset + stored])
            offset += stored
            plain = _unzipped(plain) if compressed else plain
            if hashlib.sha256(plain).hexdigest() == blob_id:
                found[blob_id] = plain
        return found

    def _walk(self, tree: str, above: str, blobs: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
        for node in json.loads(_held(blobs, tree, above))["nodes"]:
            path = f"{above}/{json.loads(chr(34) + node['name'] + chr(34))}"
            if node["type"] == "dir":
                yield from self._walk(node["subtree"], path, blobs)
            elif node["type"] == "file":
                content = b"".join(_held(blobs, blob, path) for blob in node.get("content") or [])
                if len(content) != node.get("size", 0):
                    raise Unreadable(f"{path} has {len(content)} bytes instead of {node.get('size', 0)}")
                yield path, content


def _held(blobs: dict[str, bytes], blob_id: str, path: str) -> bytes:
    if blob_id not in blobs:
        raise Unreadable(f"a piece of {path or '/'} is nowhere")
    return blobs[blob_id]


def _unzipped(raw: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(raw, max_output_size=64 * 2**20)
    except zstandard.ZstdError as exc:
        raise Unreadable("a piece cannot be unpacked") from exc
