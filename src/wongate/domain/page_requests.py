"""Payment Page parameters in (section 6.1): flat texts -> a page that may be shown, or `Refused` with our code (E-27).

Nothing here is a payment yet. The same parameters are read and verified again when the payer presses Pay, so that no page
that stood open meanwhile can do what the merchant's signature, or the project's settings, no longer allow.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from wongate.domain import codes
from wongate.domain.landing import MODES
from wongate.domain.members import EMAIL, TEXT_MAX, Flaw, is_web_url, read_moment
from wongate.domain.methods import METHODS, Method, by_page_code
from wongate.domain.money import EXPONENTS
from wongate.domain.payment import Project
from wongate.domain.refusal import Refused
from wongate.domain.requests import SaleRequest, check_payment_id, project_id_of, refusal_of
from wongate.domain.signature import UNSIGNED, verify_page

NEEDED = ("project_id", "payment_id", "payment_amount", "payment_currency", "customer_id")
PARAMETERS_MAX = 300
"""All documented parameters together are some 130."""

BEST_BEFORE_MAX = timedelta(days=30)
FRAMES = ("iframe", "popup", "embedded")
TRUE = ("1", "true", "True")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page that may be shown. `methods` are what the payer may choose from: one if the merchant has chosen.

    `best_before` is None where there is no limit, or one so far away that it does not count. `asked` holds all parameters
    except the signature.
    """

    payment_id: str
    amount: int
    currency: str
    customer_id: str
    description: str
    best_before: datetime | None
    methods: tuple[Method, ...]
    preselected: bool
    asked: Mapping[str, str] = field(repr=False)

    @property
    def language(self) -> str:
        return self.asked.get("language_code", "")

    @property
    def frame_mode(self) -> str:
        """How merchant.js opened the page: iframe, popup, embedded, or empty for a page in a tab of its own."""
        mode = self.asked.get("frame_mode", "")
        return mode if mode in FRAMES else ""

    @property
    def new_window(self) -> bool:
        """Whether the provider's window opens in a new tab whatever the project says (E-28)."""
        return self.asked.get("force_acs_new_window") in TRUE


def parse(text: str) -> dict[str, str]:
    """A query or an urlencoded form as flat decoded strings. Raises Refused 702 for what no browser sends."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except (ValueError, UnicodeDecodeError):
        raise Refused(codes.MALFORMED_REQUEST) from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise Refused(codes.MALFORMED_REQUEST, constraint="each parameter once")
    return parameters


def project_of(parameters: Mapping[str, str]) -> int:
    """The project's number. Raises Refused 2004 for the first parameter that is missing, 2442 for what is no number."""
    for name in (*NEEDED, "signature"):
        if name not in parameters:
            raise Refused(codes.FIELD_MISSING, field=name, constraint="required")
    return project_id_of(parameters["project_id"])


def read(parameters: Mapping[str, str], project: Project, now: datetime) -> PageRequest:
    """The page that these parameters open. Raises Refused as E-27 says; `project_of` has found the project."""
    _check_signature(parameters, project)
    check_payment_id(parameters["payment_id"], "payment_id")
    for flaw in flaws(parameters):
        raise Refused(flaw.code, field=flaw.field, constraint=flaw.constraint)
    amount, currency = int(parameters["payment_amount"]), parameters["payment_currency"]
    methods, preselected = _methods(parameters, project, amount, currency)
    best_before = read_moment(parameters.get("best_before"))
    if best_before is not None and best_before > now + BEST_BEFORE_MAX:
        best_before = None
    return PageRequest(
        payment_id=parameters["payment_id"],
        amount=amount,
        currency=currency,
        customer_id=parameters["customer_id"],
        description=parameters.get("payment_description", ""),
        best_before=best_before,
        methods=methods,
        preselected=preselected,
        asked={name: value for name, value in parameters.items() if name != "signature"},
    )


def _check_signature(parameters: Mapping[str, str], project: Project) -> None:
    """E-3 comes first: what holds `;` may have been signed as something else."""
    for name, value in parameters.items():
        if ";" in value and not _is_added_by_browser(name):
            raise Refused(codes.VALIDATION_ERROR, field=name, constraint="without semicolon")
        if "\0" in name or "\0" in value:
            raise Refused(codes.MALFORMED_REQUEST)
    if parameters["signature"] == "":
        raise Refused(codes.EMPTY_SIGNATURE, field="signature")
    if not verify_page(parameters, parameters["signature"], project.secrets):
        raise Refused(codes.INVALID_SIGNATURE, field="signature")


def _is_added_by_browser(name: str) -> bool:
    """merchant.js adds these behind the signature; the page the payer came from may well hold a semicolon (section 1.1)."""
    return name.startswith("_") or name in UNSIGNED


def _methods(
    parameters: Mapping[str, str], project: Project, amount: int, currency: str
) -> tuple[tuple[Method, ...], bool]:
    """What the payer may pay with. Raises Refused with the reason when nothing is left."""
    forced = parameters.get("force_payment_method", "")
    named = by_page_code(forced) if forced else None
    if forced and named is None:
        raise Refused(codes.UNKNOWN_METHOD, field="force_payment_method")
    hidden = parameters.get("hide", "").replace(" ", "").split(",")
    candidates = [named] if named else [m for m in METHODS.values() if m.page_code not in hidden]
    refusals = [refusal_of(project, method.code, amount, currency) for method in candidates]
    offered = tuple(method for method, refusal in zip(candidates, refusals, strict=True) if refusal is None)
    if not offered:
        reason = next((refusal for refusal in refusals if refusal), codes.NOT_ALLOWED_IN_PROJECT)
        raise Refused(reason, field="force_payment_method" if forced else None)
    return offered, named is not None


def sale_request(page: PageRequest, ip_address: str, language: str) -> SaleRequest:
    """The sale that pressing Pay begins, kept in the shape of a Gate request with the page's own parameters beside it."""
    asked = page.asked
    general = {"project_id": int(asked["project_id"]), "payment_id": page.payment_id}
    callback_urls = {name: asked[name] for name in _CALLBACK_URLS if asked.get(name)}
    customer = {
        name.removeprefix("customer_"): value
        for name, value in asked.items()
        if name.startswith("customer_") and value
    }
    payment: dict[str, Any] = {"amount": page.amount, "currency": page.currency}
    payment |= {"description": page.description} if page.description else {}
    payment |= {"best_before": asked["best_before"]} if page.best_before else {}
    return SaleRequest(
        payment_id=page.payment_id,
        amount=page.amount,
        currency=page.currency,
        customer_id=page.customer_id,
        description=page.description,
        best_before=page.best_before,
        callback_delay_s=0,
        kept={
            "general": general | callback_urls,
            "customer": {**customer, "ip_address": ip_address},
            "payment": payment,
            "page": {name: value for name, value in asked.items() if not name.startswith("_")}
            | {"language_code": language},
        },
    )


# --- what each parameter may hold -----------------------------------------------------------------------------------------------

_CALLBACK_URLS = ("merchant_callback_url", "merchant_success_callback_url", "merchant_decline_callback_url")
_URLS = (
    *_CALLBACK_URLS,
    "redirect_success_url",
    "redirect_fail_url",
    "redirect_return_url",
    "merchant_success_url",
    "merchant_fail_url",
    "merchant_return_url",
)
_MODES = (
    "redirect_success_mode",
    "redirect_fail_mode",
    "merchant_success_redirect_mode",
    "merchant_fail_redirect_mode",
    "merchant_return_redirect_mode",
)
_SWITCHES = (
    "redirect_success_enabled",
    "redirect_fail_enabled",
    "merchant_success_enabled",
    "merchant_fail_enabled",
    "merchant_return_enabled",
)
_BOOLEANS = ("force_acs_new_window", "redirect", "redirect_on_mobile", "close_on_missclick")
_TEXTS = (
    "payment_description",
    *(
        f"customer_{name}"
        for name in (
            "first_name",
            "last_name",
            "middle_name",
            "birthplace",
            "city",
            "state",
            "street",
            "address",
        )
    ),
)


def _is_birthday(value: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d\d-\d\d-\d{4}", value) and datetime.strptime(value, "%d-%m-%Y"))
    except ValueError:
        return False


def _matching(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _is_one_of(*values: str) -> Callable[[str], bool]:
    return lambda value: value in values


def _is_short(value: str) -> bool:
    return len(value) <= TEXT_MAX


_CHECKS: dict[str, tuple[int, Callable[[str], bool], str]] = {
    "payment_amount": (
        codes.VALIDATION_ERROR,
        _matching("[1-9][0-9]{0,12}|10000000000000"),
        "integer 1..10000000000000",
    ),
    "payment_currency": (codes.INVALID_CURRENCY, lambda value: value in EXPONENTS, "ISO 4217"),
    "customer_id": (
        codes.INVALID_CUSTOMER_ID,
        lambda value: value != "" and _is_short(value),
        "string 1..255",
    ),
    "mode": (codes.NOT_ALLOWED_IN_PROJECT, _is_one_of("", "purchase"), "purchase"),
    "operation_type": (codes.NOT_ALLOWED_IN_PROJECT, _is_one_of("", "sale"), "sale"),
    "card_operation_type": (codes.NOT_ALLOWED_IN_PROJECT, _is_one_of("", "sale"), "sale"),
    "best_before": (
        codes.VALIDATION_ERROR,
        lambda value: value == "" or read_moment(value) is not None,
        "YYYY-MM-DDThh:mm:ss+hh:mm",
    ),
    "customer_email": (
        codes.INVALID_EMAIL,
        lambda value: value == "" or (_is_short(value) and EMAIL.fullmatch(value) is not None),
        "e-mail address",
    ),
    "customer_phone": (codes.VALIDATION_ERROR, _matching("|[0-9]{4,24}"), "4 to 24 digits"),
    "customer_country": (codes.INVALID_COUNTRY, _matching("|[A-Z]{2}"), "ISO 3166-1 alpha-2"),
    "customer_zip": (codes.VALIDATION_ERROR, lambda value: len(value) <= 10, "string up to 10"),
    "customer_day_of_birth": (
        codes.INVALID_BIRTHDAY,
        lambda value: value == "" or _is_birthday(value),
        "DD-MM-YYYY",
    ),
    "region_code": (codes.VALIDATION_ERROR, _matching("|[A-Za-z]{2}"), "ISO 3166-1 alpha-2"),
    **{
        name: (codes.VALIDATION_ERROR, lambda value: value == "" or is_web_url(value), "http or https URL")
        for name in _URLS
    },
    **{name: (codes.VALIDATION_ERROR, _is_one_of("", *MODES), " | ".join(MODES)) for name in _MODES},
    **{name: (codes.VALIDATION_ERROR, _is_one_of("", "0", "1", "2"), "0, 1 or 2") for name in _SWITCHES},
    **{
        name: (
            codes.VALIDATION_ERROR,
            _is_one_of("", "0", "1", "true", "false", "True", "False"),
            "0 or 1",
        )
        for name in _BOOLEANS
    },
    **dict.fromkeys(_TEXTS, (codes.VALIDATION_ERROR, _is_short, "string up to 255")),
}


def flaws(parameters: Mapping[str, str]) -> list[Flaw]:
    """Every parameter whose value has the wrong form; one that is absent has no flaw here."""
    return [
        Flaw(code, name, constraint)
        for name, (code, is_right, constraint) in _CHECKS.items()
        if name in parameters and not is_right(parameters[name])
    ]


def validate(parameters: Mapping[str, str]) -> list[Flaw]:
    """Everything that is wrong with parameters that are yet to be signed (E-30); no project is looked at."""
    found = [Flaw(codes.FIELD_MISSING, name, "required") for name in NEEDED if name not in parameters]
    if "payment_id" in parameters:
        try:
            check_payment_id(parameters["payment_id"], "payment_id")
        except Refused as refused:
            found.append(Flaw(refused.code, "payment_id", refused.constraint or ""))
    found += [
        Flaw(codes.VALIDATION_ERROR, name, "without semicolon")
        for name, value in parameters.items()
        if ";" in value and not _is_added_by_browser(name)
    ]
    return found + flaws(parameters)
