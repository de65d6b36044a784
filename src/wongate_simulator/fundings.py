"""What a Payco payment was funded by, as approval and cancel answers describe it (nicepay 13.4)."""

from wongate_simulator.records import Payment

PAYCO = "15"  # ClickpayCl
PADDED_ZERO = "0" * 12
ISSUER_CODE, ISSUER_NAME = "04", "삼성"
POINTS_CODE, POINTS_NAME = "39", "PAYCO 포인트"
MASKED_CARD = "53611234****1234"


def parts(payment: Payment) -> tuple[int, int, int]:
    """Card, points and coupon share of a mixed payment in won; they sum to the amount."""
    coupon = payment.amount // 10
    points = payment.amount * 3 // 10
    return payment.amount - points - coupon, points, coupon


def funding_of(payment: Payment) -> dict[str, str]:
    """The card and easy-pay fields of the approval answer, without order."""
    if payment.funding == "points":
        return {**_plain(payment, POINTS_CODE, POINTS_NAME), "CardNo": "", "CardCl": "", "CardType": ""}
    return _plain(payment, ISSUER_CODE, ISSUER_NAME)


def _plain(payment: Payment, code: str, name: str) -> dict[str, str]:
    mixed = payment.funding == "mixed"
    card, points, coupon = (str(part) for part in parts(payment)) if mixed else ("", "", "")
    return {
        "CardCode": code,
        "CardName": name,
        "CardNo": MASKED_CARD,
        "CardQuota": payment.quota or "00",
        "CardInterest": "0",
        "AcquCardCode": code,
        "AcquCardName": name,
        "CardCl": "0",
        "CcPartCl": payment.cc_part_cl,
        "CardType": "01",
        "ClickpayCl": PAYCO,
        "CouponAmt": PADDED_ZERO,
        "CouponMinAmt": PADDED_ZERO,
        "PointAppAmt": PADDED_ZERO,
        "MultiCl": "1" if mixed else "0",
        "MultiCardAcquAmt": card,
        "MultiPointAmt": points,
        "MultiCouponAmt": coupon,
    }


def cancelled_parts(payment: Payment, amount: int) -> dict[str, str]:
    """The Multi* fields of a cancel answer: card money goes back first, then points, then the coupon."""
    if payment.funding != "mixed":
        return {"MultiCardAcquAmt": "", "MultiPointAmt": "", "MultiCouponAmt": ""}
    gone, shares = payment.cancelled, []
    for part in parts(payment):
        left = part - min(gone, part)
        gone -= min(gone, part)
        share = min(amount, left)
        amount -= share
        shares.append(str(share))
    return dict(zip(("MultiCardAcquAmt", "MultiPointAmt", "MultiCouponAmt"), shares, strict=True))
