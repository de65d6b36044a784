"""The outside payment services, a folder each; one folder never imports another. May import `connections` and `domain`."""
