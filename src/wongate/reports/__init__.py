"""Reads for people and the Data API: SELECT only. May import `connections` and `domain`."""
