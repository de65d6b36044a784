"""Whole-number amounts. A currency's exponent says how many decimals its minor unit has; the won has none, so its minor
unit is the won itself and every amount in this program is an `int` of whole won."""

_EXPONENTS_NOT_2 = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENT_2 = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
    "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)

EXPONENTS = dict.fromkeys(_EXPONENT_2.split(), 2) | {
    code: exponent for exponent, codes in _EXPONENTS_NOT_2.items() for code in codes.split()
}
"""ISO 4217 alpha-3 code -> number of decimals of the minor unit."""

AMOUNT_MAX = 10_000_000_000_000
"""The largest amount that Gate's schema admits (section 2.1)."""


def is_amount(value: object) -> bool:
    """True for a positive whole number within Gate's schema; `True` is not a number, 1000.0 is not whole."""
    return type(value) is int and 1 <= value <= AMOUNT_MAX
