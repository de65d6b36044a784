"""Hashing passwords with argon2id, off the event loop and few at a time."""

import asyncio
import secrets
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from wongate.domain.passwords import Weakness, spelled, weakness
from wongate.domain.refusal import Unfit

ITERATIONS, MEMORY_KIB, LANES = 2, 19 * 1024, 1
"""OWASP's first choice for argon2id: 19 MiB and two passes, 50 ms on the machine this was measured on."""

_PARAMETERS = f"$argon2id$v=19$m={MEMORY_KIB},t={ITERATIONS},p={LANES}$"
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="password")
"""Two hashes at the same time: a flood of sign-ins takes 38 MiB and leaves a processor to payments. Threads of their own, since
they belong to no event loop, as a semaphore would from its first wait on."""

INITIAL_ALPHABET = (
    "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that looks like something else
)
INITIAL_LENGTH = 20

_MESSAGES = {
    Weakness.SHORT: Unfit("A password has at least 12 characters.", "password"),
    Weakness.LONG: Unfit("A password has at most 256 characters.", "password"),
    Weakness.COMMON: Unfit("This password is among the most used ones. Please choose another.", "password"),
    Weakness.PERSONAL: Unfit(
        "The password contains the login or the name. Please choose another.", "password"
    ),
    Weakness.REPEATED: Unfit("This password only repeats or counts. Please choose another.", "password"),
}


async def hashed(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _hash, password)


async def fits(password: str, password_hash: str) -> bool:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _fits, password, password_hash)


def is_outdated(password_hash: str) -> bool:
    """Whether it was made with other parameters than ours; then the next sign-in hashes it anew."""
    return not password_hash.startswith(_PARAMETERS)


def _hash(password: str) -> str:
    kdf = Argon2id(
        salt=secrets.token_bytes(16),
        length=32,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return kdf.derive_phc_encoded(spelled(password).encode())


def _fits(password: str, password_hash: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(spelled(password).encode(), password_hash)
    except InvalidKey:
        return False
    return True


@cache
def nobodys_hash() -> str:
    """What an unknown login's password is compared with, so that it takes as long as a known one's."""
    return _hash(secrets.token_urlsafe(32))


def check(password: str, personal: Collection[str]) -> None:
    """Raises Unfit with the reason for a weak password."""
    found = weakness(password, common_passwords(), personal)
    if found:
        raise _MESSAGES[found]


@cache
def common_passwords() -> frozenset[str]:
    return frozenset((Path(__file__).parent / "common_passwords.txt").read_text().splitlines())


def initial_password() -> str:
    """Made for somebody else, who replaces it at the first sign-in: 116 bits."""
    return "".join(secrets.choice(INITIAL_ALPHABET) for _ in range(INITIAL_LENGTH))
