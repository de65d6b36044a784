"""The one error of people who steer the simulator: options, merchants, control API."""


class Mistake(Exception):
    """What was asked for cannot be done; the message says why and what would do. Nothing has been changed."""
