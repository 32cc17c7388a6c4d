"""Sealing: `nonce[16] | AES-256-CTR ciphertext | tag[16]`, the tag by Poly1305-AES over the ciphertext.

The one-time Poly1305 key is `r | AES-128_k(nonce)` (restic doc/design.rst, "Keys, Encryption and MAC").
`MasterKey` is picklable; cipher contexts are kept per thread and re-used, which saves a context per blob.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

from backups.engine.errors import Damaged

NONCE_BYTES = 16
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES
SCRATCH_BYTES = 64 * 1024  # of a thread's buffer for checks, at first; it grows to the largest blob
SLACK_BYTES = 15  # `update_into` wants room for one block less a byte beyond the text


class MasterKey:
    """The three secrets that protect everything in a repository; never printed, never stored in the clear.

    encrypt: 32 bytes, AES-256-CTR.   mac_k, mac_r: 16 bytes each, Poly1305-AES.
    """

    __slots__ = ("_local", "encrypt", "mac_k", "mac_r")

    def __init__(self, encrypt: bytes, mac_k: bytes, mac_r: bytes) -> None:
        if (len(encrypt), len(mac_k), len(mac_r)) != (32, 16, 16):
            raise ValueError("a master key is 32 + 16 + 16 bytes")
        self.encrypt, self.mac_k, self.mac_r = encrypt, mac_k, mac_r
        self._local = threading.local()

    @classmethod
    def random(cls) -> MasterKey:
        return cls(os.urandom(32), os.urandom(16), os.urandom(16))

    def __repr__(self) -> str:
        return "MasterKey(...)"

    def __reduce__(self) -> tuple[Any, ...]:
        return MasterKey, (self.encrypt, self.mac_k, self.mac_r)

    def _contexts(self) -> tuple[CipherContext, CipherContext]:
        local = self._local
        try:
            return local.ctr, local.ecb
        except AttributeError:
            local.ctr = Cipher(algorithms.AES(self.encrypt), modes.CTR(bytes(16))).encryptor()
            # ECB of the single nonce block is what Poly1305-AES is defined by, not a mode for data.
            local.ecb = Cipher(algorithms.AES(self.mac_k), modes.ECB()).encryptor()  # noqa: S305
            return local.ctr, local.ecb

    def seal_into(self, plain: bytes | bytearray | memoryview, target: memoryview, offset: int) -> int:
        """Seal `plain` into `target` from `offset` on and return the sealed length [bytes].

        `target` needs `len(plain) + OVERHEAD_BYTES + SLACK_BYTES` writable bytes after `offset`.
        """
        nonce = os.urandom(NONCE_BYTES)
        ctr, ecb = self._contexts()
        start = offset + NONCE_BYTES
        end = start + len(plain)
        target[offset:start] = nonce
        ctr.reset_nonce(nonce)
        ctr.update_into(plain, target[start : end + SLACK_BYTES])
        target[end : end + TAG_BYTES] = Poly1305.generate_tag(self.mac_r + ecb.update(nonce), target[start:end])
        return len(plain) + OVERHEAD_BYTES

    def seal(self, plain: bytes | bytearray | memoryview) -> bytes:
        """Return the sealed form of `plain`."""
        room = bytearray(len(plain) + OVERHEAD_BYTES + SLACK_BYTES)
        length = self.seal_into(plain, memoryview(room), 0)
        return bytes(memoryview(room)[:length])

    def open(self, sealed: bytes | bytearray | memoryview) -> memoryview:
        """Return the plain text of `sealed`; raises Damaged when the tag does not fit (or the key is another)."""
        return self._open(sealed, bytearray(len(sealed)))

    def open_briefly(self, sealed: bytes | bytearray | memoryview) -> memoryview:
        """Return the plain text like `open`, in a buffer that this thread's next call overwrites.

        For checks that throw the text away: fresh memory for every blob costs as much as decrypting it.
        """
        scratch: bytearray | None = getattr(self._local, "scratch", None)
        if scratch is None or len(scratch) < len(sealed):
            scratch = self._local.scratch = bytearray(max(len(sealed), SCRATCH_BYTES))
        return self._open(sealed, scratch)

    def _open(self, sealed: bytes | bytearray | memoryview, plain: bytearray) -> memoryview:
        view = memoryview(sealed)
        if len(view) < OVERHEAD_BYTES:
            raise Damaged(f"sealed text of {len(view)} bytes is shorter than its frame")
        nonce, cipher_text, tag = bytes(view[:NONCE_BYTES]), view[NONCE_BYTES:-TAG_BYTES], bytes(view[-TAG_BYTES:])
        ctr, ecb = self._contexts()
        try:
            Poly1305.verify_tag(self.mac_r + ecb.update(nonce), cipher_text, tag)
        except InvalidSignature as exc:
            raise Damaged("authentication failed: the bytes were changed or the key is another one") from exc
        ctr.reset_nonce(nonce)
        length = ctr.update_into(cipher_text, plain)
        return memoryview(plain)[:length]
