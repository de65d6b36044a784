"""What merchants are told of NICEPAY's refusals is a setting (E-42)."""

import base64
from typing import Any

import pytest

from wongate.app import opened
from wongate.domain.account import Account
from wongate.domain.outcome import Declined
from wongate.providers.nicepay.accounts import account_settings_for_nicepay
from wongate.settings import SettingsError, load

KEY = base64.b64encode(b"k" * 32).decode()
ACCOUNT = Account(1, "nicepay", "nicepay00m", "key", account_settings_for_nicepay())
REFUSED = {"AuthResultCode": "3095", "AuthResultMsg": "refused"}


def environment(database: str, **more: str) -> dict[str, str]:
    return {"WONGATE_DATABASE_URL": database, "WONGATE_MASTER_KEY": KEY, **more}


@pytest.mark.parametrize("text, code", [(None, 20000), ("", 20000), ('{"sale": {"3095": 20105}}', 20105)])
async def test_a_decline_is_named_as_the_operator_wants_it(database: str, text: str | None, code: int):
    chosen = {} if text is None else {"WONGATE_RESPONSE_CODES": text}
    async with opened(load(environment(database, **chosen))) as platform:
        provider: Any = platform.providers["nicepay"]
        outcome = provider.read_return(ACCOUNT, REFUSED, order_number="1234W91", amount=1000)
        assert isinstance(outcome, Declined)
        assert code == outcome.code


@pytest.mark.parametrize(
    "text, says",
    [
        ("{", "cannot be read"),
        ("[]", "an object such as"),
        ('{"sale": 1}', "an object such as"),
        ('{"sale": {"3095": "20105"}}', "an object such as"),
        ('{"sale": {"3095": true}}', "an object such as"),
        ('{"refund": {}}', "only 'sale' and 'cancel' can be changed"),
        ('{"sale": {"3001": 20105}}', "3001 is no decline at NICEPAY"),
        ('{"sale": {"3095": 0}}', "0 is not a decline code"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(text: str, says: str):
    with pytest.raises(SettingsError) as told:
        load(environment("postgresql://127.0.0.1:9/x", WONGATE_RESPONSE_CODES=text))
    assert str(told.value).startswith("WONGATE_RESPONSE_CODES cannot be read")
    assert says in str(told.value)
