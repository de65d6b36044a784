"""Secrets at rest: AES-256-GCM under a master key that never enters the database (ASVS 11.3.2, 13.3.1).

A sealed secret is the text `v1.<key id>.<base64 of nonce, ciphertext and tag>`, bound to its place (table,
row, column), so that it opens neither changed nor in another row.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12
_SEALED = re.compile(r"(?P<header>v1\.(?P<key_id>[0-9a-f]{1,8}))\.(?P<content>.+)")


class VaultError(Exception):
    """A secret that does not open, or a master key that cannot be one. Its text contains neither."""


class Vault:
    """Seals secrets with the current master key and opens what any of the known keys has sealed."""

    def __init__(self, keys: Mapping[int, bytes], current: int) -> None:
        if current not in keys:
            raise VaultError("the current master key is not among the keys")
        if any(len(key) != _KEY_BYTES for key in keys.values()):
            raise VaultError(f"a master key is {_KEY_BYTES} bytes long")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = current

    @classmethod
    def from_text(cls, master_key: str) -> Self:
        """Reads 32 bytes in base64; for rotation several, separated by commas, of which the first seals.

        A key's id is derived from the key itself, so the order may change without touching what is sealed.
        """
        keys = [_decoded_key(text) for text in master_key.split(",")]
        return cls({_key_id(key): key for key in keys}, _key_id(keys[0]))

    def seal(self, plain: str, *, place: str) -> str:
        """`place` says where the sealed text will be kept, such as "project/123/secret"."""
        header = f"v1.{self.current_key}"
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain.encode(), _bound_to(header, place))
        return f"{header}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, place: str) -> str:
        """Raises VaultError for an unknown key, changed text, or text sealed for another place."""
        header, key_id, content = _parts(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultError(f"{place}: sealed with master key {key_id:x}, which is not configured")
        try:
            plain = cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], _bound_to(header, place))
        except (InvalidTag, ValueError):
            raise VaultError(f"{place}: this secret was changed or belongs to another place") from None
        return plain.decode()

    @property
    def current_key(self) -> str:
        """The id of the key that seals, in hexadecimal."""
        return f"{self._current:x}"

    @property
    def current_header(self) -> str:
        """How every text begins that the current key has sealed; others `wongate rekey` seals anew."""
        return f"v1.{self.current_key}."

    def __repr__(self) -> str:
        return f"<Vault of {len(self._ciphers)} keys, current {self.current_key}>"


def new_master_key() -> str:
    """A fresh random master key in the form `Vault.from_text` reads."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _decoded_key(text: str) -> bytes:
    key = _decoded(text.strip())
    if len(key) != _KEY_BYTES:
        raise VaultError("a master key is 32 random bytes in base64, as `openssl rand -base64 32` makes them")
    return key


def _key_id(key: bytes) -> int:
    """32 bits that name a key and say nothing about it."""
    return int.from_bytes(hashlib.sha256(b"wongate master key id" + key).digest()[:4])


def _bound_to(header: str, place: str) -> bytes:
    return f"{header}.{place}".encode()


def _parts(sealed: str) -> tuple[str, int, bytes]:
    """Header, key id and content. Raises VaultError for text that no vault has made."""
    found = _SEALED.fullmatch(sealed)
    if found is None:
        raise VaultError("this is not a sealed secret")
    return found["header"], int(found["key_id"], 16), _decoded(found["content"])


def _decoded(text: str) -> bytes:
    """The bytes of base64 text; none unless spelled as an encoder would, so that every bit counts."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return content if base64.b64encode(content).decode() == text else b""
