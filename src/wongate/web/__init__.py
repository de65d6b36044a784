"""HTTP only: parse, call one flow or one report, render. Never reaches `store` or `providers`."""
