"""The hashes of NICEPAY's messages (section 12): SHA-256 over values joined without separators, then the
MerchantKey.

The letters are those of the table in section 12.
"""

import hashlib
import hmac

from wongate.domain.account import Account


def window(account: Account, *, amount: str, edi_date: str) -> str:
    """Formula a: SignData of the payment window's form."""
    return _hash(edi_date, account.merchant_id, amount, account.merchant_key)


def authentication(account: Account, *, token: str, amount: str) -> str:
    """Formula b: Signature of the authentication result. Covers neither result code nor order number."""
    return _hash(token, account.merchant_id, amount, account.merchant_key)


def approval(account: Account, *, token: str, amount: str, edi_date: str) -> str:
    """Formula c: SignData of an approval, and of a net cancel too."""
    return _hash(token, account.merchant_id, amount, edi_date, account.merchant_key)


def answer(account: Account, *, reference: str, amount: str) -> str:
    """Formulas d and f: Signature of an answer, over TID and amount as returned, padding included (N-18)."""
    return _hash(reference, account.merchant_id, amount, account.merchant_key)


def cancel(account: Account, *, amount: str, edi_date: str) -> str:
    """Formula e: SignData of a cancel."""
    return _hash(account.merchant_id, amount, edi_date, account.merchant_key)


def inquiry(account: Account, *, reference: str, edi_date: str) -> str:
    """Formula g: SignData of a status inquiry."""
    return _hash(reference, account.merchant_id, edi_date, account.merchant_key)


def equal(expected: str, given: str) -> bool:
    """In constant time; never raises for what a stranger may have sent."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


def _hash(*values: str) -> str:
    return hashlib.sha256("".join(values).encode("utf-8", "surrogatepass")).hexdigest()
