"""Secrets at rest: what opens where, and what an error or a dump gives away."""

import base64
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wongate.connections.vault import Vault, VaultError, new_master_key

PLACE = "project/123/secret"


@given(st.text())
def test_a_sealed_secret_opens_in_its_place(plain: str) -> None:
    vault = Vault({7: b"k" * 32}, 7)

    assert plain == vault.open(vault.seal(plain, place=PLACE), place=PLACE)


def test_the_same_secret_never_seals_to_the_same_text() -> None:
    vault = Vault.from_text(new_master_key())

    assert 50 == len({vault.seal("secret", place=PLACE) for _ in range(50)})


def test_swapped_rows_are_refused() -> None:
    vault = Vault.from_text(new_master_key())
    ours, theirs = (vault.seal("secret", place=place) for place in ("project/1/secret", "project/2/secret"))

    for sealed, place in ((theirs, "project/1/secret"), (ours, "project/2/secret")):
        with pytest.raises(VaultError, match=f"{place}: this secret was changed or belongs to another place"):
            vault.open(sealed, place=place)


@pytest.mark.parametrize("plain", ["", "a", "ab", "abc", "비밀"])  # with and without base64 padding
def test_every_flipped_bit_is_refused(plain: str) -> None:
    vault = Vault.from_text(new_master_key())
    sealed = vault.seal(plain, place=PLACE)

    for index in range(len(sealed)):
        for bit in range(7):
            changed = sealed[:index] + chr(ord(sealed[index]) ^ 1 << bit) + sealed[index + 1 :]
            with pytest.raises(VaultError):
                vault.open(changed, place=PLACE)


def test_a_respelled_key_id_is_refused() -> None:
    vault = Vault({7: b"k" * 32}, 7)
    sealed = vault.seal("secret", place=PLACE)

    with pytest.raises(VaultError, match="was changed"):
        vault.open(sealed.replace("v1.7.", "v1.07."), place=PLACE)


@pytest.mark.parametrize(
    "text", ["", "v1", "v1.", "v1.1.", "v1.1.AAAA", "v2.1.AAAA", "v1.x.AAAA", "plain", "v1.1.é"]
)
def test_text_that_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(VaultError):
        Vault({1: b"k" * 32}, 1).open(text, place=PLACE)


def test_another_master_key_does_not_open_and_the_error_names_the_key_that_would() -> None:
    sealed = Vault({0xAB12: b"a" * 32}, 0xAB12).seal("secret", place=PLACE)

    with pytest.raises(VaultError, match="sealed with master key ab12, which is not configured"):
        Vault.from_text(new_master_key()).open(sealed, place=PLACE)
    with pytest.raises(VaultError, match="was changed"):
        Vault({0xAB12: b"b" * 32}, 0xAB12).open(sealed, place=PLACE)


def test_a_rotated_vault_seals_with_the_first_key_and_reads_the_old_ones() -> None:
    old, new = new_master_key(), new_master_key()
    before = Vault.from_text(old).seal("secret", place=PLACE)
    rotating = Vault.from_text(f"{new}, {old}\n")
    after = rotating.seal("secret", place=PLACE)

    assert "secret" == rotating.open(before, place=PLACE)
    assert [False, True] == [sealed.startswith(rotating.current_header) for sealed in (before, after)]
    assert "secret" == Vault.from_text(new).open(after, place=PLACE)
    with pytest.raises(VaultError):
        Vault.from_text(old).open(after, place=PLACE)


def test_the_order_of_the_keys_may_change_without_touching_what_is_sealed() -> None:
    one, two = new_master_key(), new_master_key()
    sealed = Vault.from_text(f"{one},{two}").seal("secret", place=PLACE)

    assert "secret" == Vault.from_text(f"{two},{one}").open(sealed, place=PLACE)


@pytest.mark.parametrize(
    "text",
    ["", "secret", base64.b64encode(b"k" * 31).decode(), "é", base64.b64encode(b"k" * 32).decode() + ","],
)
def test_a_text_that_is_no_master_key_is_refused_with_the_way_to_make_one_and_without_itself(
    text: str,
) -> None:
    with pytest.raises(VaultError, match="openssl rand -base64 32") as refusal:
        Vault.from_text(text)

    assert not text or text not in str(refusal.value)


def test_a_vault_needs_keys_of_full_length_and_its_current_one() -> None:
    with pytest.raises(VaultError, match="32 bytes"):
        Vault({1: b"k" * 16}, 1)
    with pytest.raises(VaultError, match="current"):
        Vault({1: b"k" * 32}, 2)


def test_neither_the_vault_nor_the_sealed_text_shows_key_or_secret() -> None:
    key = new_master_key()
    raw = base64.b64decode(key)
    vault = Vault.from_text(key)
    shown = f"{vault!r} {vars(vault)!r} {vault.seal('hunter2', place=PLACE)}"

    for secret in (
        key,
        raw.hex(),
        repr(raw),
        "hunter2",
        base64.b64encode(b"hunter2").decode(),
        b"hunter2".hex(),
    ):
        assert secret not in shown
    with pytest.raises(TypeError):
        pickle.dumps(vault)


def test_a_new_master_key_is_new() -> None:
    assert 20 == len({new_master_key() for _ in range(20)})
