"""Writes, and the loads that writes need: SQL beside its row mapping, one function per statement, first argument the
transaction. Never commits. May import `connections` and `domain`."""
