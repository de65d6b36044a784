"""Files under `/shared/`: what merchants put into their pages (merchant.js, merchant.css) and what our own pages use.

Each file has two addresses: a stable name that is checked again after five minutes, and a name that holds its hash, kept by
browsers for a year and safe to pin with `integrity`. What merchants have pinned is served for ever: every release leaves a
copy of its files for merchants in `static/released` (`python -m wongate.web.shared_files`).
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

FOLDER = Path(__file__).parent / "static" / "shared"
RELEASED = FOLDER.parent / "released"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
FOR_MERCHANTS = ("merchant.js", "merchant.css")

OPEN_TO_ALL = {
    "Access-Control-Allow-Origin": "*",  # a merchant's page may check `integrity` only of what it may read
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
STABLE = "public, max-age=300"
PINNED = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class SharedFile:
    """`pinned` is the name that holds the hash; `integrity` is what a page's `integrity` attribute takes."""

    name: str
    pinned: str
    integrity: str
    content_type: str
    body: bytes

    @property
    def url(self) -> str:
        return f"/shared/{self.pinned}"


@cache
def shared_files() -> dict[str, SharedFile]:
    """All of them under both their names, and those of earlier releases under their pinned ones; read once."""
    files = [_read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in KINDS]
    earlier = [_read(path) for path in RELEASED.iterdir() if path.suffix in KINDS]
    return {file.pinned: file for file in earlier} | {
        name: file for file in files for name in (file.name, file.pinned)
    }


def keep_release() -> None:
    """Copies the merchants' files as they are now to those that are served for ever."""
    for name in FOR_MERCHANTS:
        file = shared_files()[name]
        (RELEASED / file.pinned).write_bytes(file.body)


def _read(path: Path) -> SharedFile:
    """The hash in a released file's name is that of its content, so that none can change unnoticed."""
    body = path.read_bytes()
    digest = hashlib.sha384(body).digest()
    name = f"{path.stem.partition('-')[0]}{path.suffix}"
    return SharedFile(
        name=name,
        pinned=f"{Path(name).stem}-{digest.hex()[:12]}{path.suffix}",
        integrity=f"sha384-{base64.b64encode(digest).decode()}",
        content_type=KINDS[path.suffix],
        body=body,
    )


async def serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name == "merchant.json":
        return _for_merchants(f"{request.url.scheme}://{request.url.netloc}")
    file = shared_files().get(name)
    if file is None:
        return PlainTextResponse("Not found", status_code=404, headers=OPEN_TO_ALL)
    tag = f'"{file.integrity}"'
    headers = OPEN_TO_ALL | {"Cache-Control": PINNED if name == file.pinned else STABLE, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers | {"Content-Type": file.content_type})


def _for_merchants(base_url: str) -> Response:
    """What to write into a page that pins this release."""
    files = [shared_files()[name] for name in FOR_MERCHANTS]
    listed = {file.name: {"url": base_url + file.url, "integrity": file.integrity} for file in files}
    return JSONResponse(listed, headers=OPEN_TO_ALL | {"Cache-Control": STABLE})


if __name__ == "__main__":
    keep_release()
