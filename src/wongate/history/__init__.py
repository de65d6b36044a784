"""A made-up past for sandboxes, so that every page has something to show: believable days, payments that go through the real
state machine at moments that have gone by, rows in bulk. May import everything up to `flows`; `sandbox.py` calls it."""
