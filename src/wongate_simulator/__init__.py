"""A stateful stand-in for NICEPAY: payment window, approval, net cancel, cancel, inquiry, notifications, and a control API.

A separate program that speaks the wire protocol only. It never imports `wongate` and shares no line with it, so that a
shared misreading of the protocol cannot cancel out. It may import Starlette, Jinja, aiohttp, uvicorn and the standard library.
"""
