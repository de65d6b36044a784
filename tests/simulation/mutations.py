"""Placeholder list until the breakages are written."""

from typing import Any

MUTATIONS: list[Any] = []
