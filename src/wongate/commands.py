"""What operators do from the command line: migrations, projects, accounts, signatures."""

import argparse
import asyncio
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from wongate.connections.addresses import Destinations
from wongate.connections.database import Database, Tx
from wongate.connections.vault import Vault
from wongate.domain import project_rules
from wongate.domain.payment import ProjectSettings
from wongate.domain.refusal import Unfit
from wongate.domain.signature import sign as signature_of
from wongate.domain.signature_help import explain
from wongate.mistake import Mistake
from wongate.providers.nicepay.accounts import (
    account_settings_for_nicepay,
    account_settings_for_simulator,
    problems,
)
from wongate.settings import SettingsError, load
from wongate.store import migrate as migrations
from wongate.store import projects
from wongate.store.distribute import NotDistributable, distribute
from wongate.store.sealed import ACCOUNT_KEY, PROJECT_SECRET

SECRET_BYTES = 32


def migrate(options: argparse.Namespace) -> int:
    url = os.environ.get("WONGATE_DATABASE_URL")
    if not url:
        raise SettingsError("WONGATE_DATABASE_URL is missing: a postgresql:// URL")
    applied = asyncio.run(migrations.migrate(url))
    print("\n".join(f"applied {name}" for name in applied) if applied else "nothing to do, all is up to date")
    if options.distribute:
        _distribute(url)
    return 0


def _distribute(url: str) -> None:
    try:
        done = asyncio.run(distribute(url, print))
    except NotDistributable as reason:
        raise Mistake(str(reason)) from None
    print(f"{done} tables distributed" if done else "nothing to distribute, all tables are where they belong")


def project_create(options: argparse.Namespace) -> int:
    settings = _settings({"callback_url": options.callback_url} if options.callback_url else {}, options.set)

    async def story(tx: Tx, vault: Vault) -> str:
        if options.account not in {row["account_id"] for row in await projects.accounts(tx)}:
            raise Mistake(f"there is no account {options.account}; see `wongate account list`")
        project_id = options.id or await projects.next_project_id(tx)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        created = await create_project(tx, vault, project_id, options.name, secret, options.account, settings)
        if not created:
            raise Mistake(f"project {project_id} exists already")
        return f"project id  {project_id}\nsecret      {secret}\n\nThe secret is not shown again."

    return _with_database(story)


async def create_project(
    tx: Tx,
    vault: Vault,
    project_id: int,
    name: str,
    secret: str,
    account_id: int,
    settings: Mapping[str, Any],
) -> bool:
    """False when the number is taken."""
    return await projects.create(
        tx,
        project_id=project_id,
        name=name,
        sealed_secret=vault.seal(secret, place=PROJECT_SECRET.place_of(project_id)),
        account_id=account_id,
        settings=settings,
        now=datetime.now(UTC),
    )


def project_list(options: argparse.Namespace) -> int:
    async def story(tx: Tx, vault: Vault) -> str:
        rows = [
            (str(r.project_id), r.name, f"{r.provider} {r.merchant_id}") for r in await projects.every(tx)
        ]
        return table(("id", "name", "account"), rows)

    return _with_database(story)


def project_show(options: argparse.Namespace) -> int:
    async def story(tx: Tx, vault: Vault) -> str:
        row = await _existing(tx, options.id)
        secret = vault.open(row.sealed_secret, place=PROJECT_SECRET.place_of(row.project_id))
        lines = [
            f"project id  {row.project_id}",
            f"name        {row.name}",
            f"secret      {secret[:3]}{'*' * 12}",
            f"account     {row.account_id} ({row.provider} {row.merchant_id})",
        ]
        if row.previous_secret_until and row.previous_secret_until > datetime.now(UTC):
            lines.append(f"old secret  verifies until {row.previous_secret_until:%Y-%m-%d %H:%M} UTC")
        settings = ProjectSettings.from_json(row.settings)
        return "\n".join([*lines, *_as_set(asdict(settings))])

    return _with_database(story)


def project_set(options: argparse.Namespace) -> int:
    async def story(tx: Tx, vault: Vault) -> str:
        row = await _existing(tx, options.id)
        settings = _settings(row.settings, options.set)
        await projects.save_settings(tx, options.id, settings, datetime.now(UTC))
        return f"project {options.id}: saved"

    return _with_database(story)


def project_rotate(options: argparse.Namespace) -> int:
    async def story(tx: Tx, vault: Vault) -> str:
        await _existing(tx, options.id)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        now = datetime.now(UTC)
        until = now + timedelta(hours=options.overlap_hours)
        sealed = vault.seal(secret, place=PROJECT_SECRET.place_of(options.id))
        await projects.rotate_secret(tx, options.id, sealed, until, now)
        return (
            f"new secret  {secret}\n\nRequests signed with the old one are accepted until {until:%Y-%m-%d %H:%M} UTC; "
            "callbacks are signed with the new one from now on."
        )

    return _with_database(story)


def account_create(options: argparse.Namespace) -> int:
    key = (options.key_file.read_text() if options.key_file else sys.stdin.read()).strip()
    if not key:
        raise Mistake("the MerchantKey is empty")
    base = (
        account_settings_for_simulator(options.simulator)
        if options.simulator
        else account_settings_for_nicepay()
    )
    settings = {**base, **_pairs(options.set)}
    for problem in problems(settings):
        raise Mistake(problem)

    async def story(tx: Tx, vault: Vault) -> str:
        account_id = await projects.next_account_id(tx)
        await save_account(tx, vault, account_id, options.mid, key, settings)
        return f"account {account_id} made for {options.mid}"

    return _with_database(story)


async def save_account(
    tx: Tx, vault: Vault, account_id: int, mid: str, key: str, settings: Mapping[str, Any]
) -> None:
    await projects.save_account(
        tx,
        account_id=account_id,
        provider="nicepay",
        merchant_id=mid,
        sealed_key=vault.seal(key, place=ACCOUNT_KEY.place_of(account_id)),
        settings=settings,
        now=datetime.now(UTC),
    )


def account_list(options: argparse.Namespace) -> int:
    async def story(tx: Tx, vault: Vault) -> str:
        rows = [(str(r["account_id"]), r["provider"], r["merchant_id"]) for r in await projects.accounts(tx)]
        return table(("id", "provider", "merchant id"), rows)

    return _with_database(story)


def account_show(options: argparse.Namespace) -> int:
    async def story(tx: Tx, vault: Vault) -> str:
        found = [row for row in await projects.accounts(tx) if row["account_id"] == options.id]
        if not found:
            raise Mistake(f"there is no account {options.id}")
        lines = [
            f"account  {options.id} ({found[0]['provider']})",
            f"mid      {found[0]['merchant_id']}",
            "key      ***",
        ]
        return "\n".join([*lines, *_as_set(dict(sorted(found[0]["settings"].items())))])

    return _with_database(story)


def sign(options: argparse.Namespace) -> int:
    """1 for a signature that Gate would refuse."""
    secret = options.secret or os.environ.get("WONGATE_SECRET")
    if not secret:
        raise Mistake("the secret is missing: set WONGATE_SECRET or give --secret")
    try:
        message = json.loads(options.file.read_text() if options.file else sys.stdin.read())
    except ValueError as error:
        raise Mistake(f"this is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Mistake("a message is a JSON object")
    if options.fill:
        print(json.dumps(_filled(message, secret), ensure_ascii=False))
    else:
        explanation = explain(message, secret, options.signature or _own_signature(message))
        print(explanation)
        return 1 if explanation.given and not explanation.accepted else 0
    return 0


def _filled(message: dict[str, Any], secret: str) -> dict[str, Any]:
    """The message with its signature where Gate looks for it: in `general` where there is one, else at the root."""
    signature = signature_of(message, secret)
    if isinstance(message.get("general"), dict):
        return {**message, "general": {**message["general"], "signature": signature}}
    return {**message, "signature": signature}


def _own_signature(message: Mapping[str, Any]) -> str | None:
    general = message.get("general")
    found = general.get("signature") if isinstance(general, Mapping) else None
    return found or message.get("signature")


def _with_database(story: Callable[[Tx, Vault], Awaitable[str]]) -> int:
    """Runs the story in one transaction and prints what it says."""
    settings = load()
    vault = Vault.from_text(settings.master_key)

    async def run() -> str:
        database = await Database.connect(settings.database_url, size=1)
        try:
            async with database.transaction() as tx:
                return await story(tx, vault)
        finally:
            await database.close()

    print(asyncio.run(run()))
    return 0


async def _existing(tx: Tx, project_id: int) -> projects.ProjectRow:
    row = await projects.load(tx, project_id)
    if row is None:
        raise Mistake(f"there is no project {project_id}; see `wongate project list`")
    return row


def _settings(base: Mapping[str, Any], pairs: Sequence[str]) -> dict[str, Any]:
    """The settings with changes, held against the same rules as in the Dashboard."""
    settings = {**base, **_pairs(pairs)}
    installation = load()
    destinations = Destinations(allow=installation.callback_allow, allow_http=installation.callback_http)
    try:
        project_rules.check(ProjectSettings.from_json(settings), destinations.why_not)
    except Unfit as unfit:
        raise Mistake(f"{unfit.field}: {unfit.message}") from None
    except ValueError as error:
        raise Mistake(str(error)) from None
    return settings


def _as_set(settings: Mapping[str, Any]) -> list[str]:
    """Each as `--set` and `project set` take it."""
    return [f"  {name}={json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]


def _pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE`: the value as JSON where it is JSON, as text otherwise."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise Mistake(f"{pair!r} is not NAME=VALUE")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def progress(verb: str) -> Callable[[int, int], None]:
    """Says `asked 5 of 100` over and over on one line, where somebody looks on."""

    def say(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "" if done < total else "\n"
            print(f"\r{verb} {done} of {total}", end=end, file=sys.stderr, flush=True)

    return say


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
