"""NICEPAY classic (WebStd window and webapi), the PG through which Payco is reached.

`messages` is what we say, `answers` what we hear, `hashes`, `codes` and `accounts` are their tables: all pure.
`client` makes the calls. May import `connections` and `domain`.
"""
