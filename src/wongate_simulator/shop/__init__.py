"""A plain merchant's web shop that is paid through Wongate: the example to read before writing your own.

Read in this order: `gate_client.py` (build, sign, send, verify), `callbacks.py` (receive), `selling.py` (what
a merchant does with both), `progress.py` (what the messages add up to). The rest is a web shop: `orders.py`
keeps everything in one SQLite file, `pages.py` shows it, `api.py` says the same in JSON. The shop knows the
platform by its URLs, project id and secret only: it imports the standard library, Starlette, Jinja, aiohttp
and the published `ecommpay-sdk`, and nothing of Wongate.
"""

from wongate_simulator.shop.app import create_shop
from wongate_simulator.shop.settings import ShopSettings

__all__ = ["ShopSettings", "create_shop"]
