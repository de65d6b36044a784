"""Wongate: a self-hosted payment platform for Payco (Korea, KRW), wire-compatible with ECommPay's public APIs.

The layers, top to bottom, each importing only what stands below it: the command line, the worker loop, the composition root,
settings, `web`, `flows`, then `providers | store | reports`, then `connections | domain`.
"""

__version__ = "0.1.0"
