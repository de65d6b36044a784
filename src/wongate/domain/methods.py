"""Payment methods as rows of data: a further wallet behind the same provider is one more row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Method:
    """`code` goes on the wire as `payment.method`; `page_code` names it on the Payment Page, `paths` in Gate paths."""

    code: str
    page_code: str
    paths: tuple[str, ...]
    provider: str
    label: str
    currencies: tuple[str, ...]


PAYCO = Method(
    code="payco",
    page_code="payco-wallet",
    paths=("payco", "payco-wallet"),
    provider="nicepay",
    label="Payco",
    currencies=("KRW",),
)

METHODS = {PAYCO.code: PAYCO}


def by_path(name: str) -> Method | None:
    """The method that a Gate path such as `/v2/payment/wallet/payco/sale` names."""
    return next((method for method in METHODS.values() if name in method.paths), None)


def by_page_code(code: str) -> Method | None:
    """The method that `force_payment_method` names, in the page's spelling or in Gate's."""
    return next((method for method in METHODS.values() if code in (method.page_code, method.code)), None)
