"""NICEPAY classic (WebStd window and webapi), the PG through which Payco is reached: `messages` is pure, `client` calls."""
