"""The dashboard: one page and what it is made of, built from `web/` and kept beside this file.

It may load from here alone, and run nothing but its own script: what a container is called must
never become code in an operator's browser.
"""

import mimetypes
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC = Path(__file__).parent / "static"
FRONT = "index.html"
ALLOWED: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "svelte-trusted-html",
}
POLICY = "; ".join(f"{what} {who}" for what, who in ALLOWED.items())
SAFE: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
FOR_EVER = "public, max-age=31536000, immutable"
"""Assets have a hash of what is in them in their name."""
ASK_AGAIN = "no-cache"


class File(msgspec.Struct, frozen=True):
    """A file of the page, as it is sent."""

    body: bytes
    kind: str
    tag: str
    keep: str


def files(folder: Path = STATIC) -> Mapping[str, File]:
    """Return the files by their paths, the page itself as `/`."""
    found: dict[str, File] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found["/" if name == FRONT else f"/{name}"] = _file(path, name)
    return found


def _file(path: Path, name: str) -> File:
    body = path.read_bytes()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    return File(body, kind, tag, FOR_EVER if name.startswith("assets/") else ASK_AGAIN)


def routes(folder: Path = STATIC) -> list[Route]:
    """Return a route for each file: what is not there is never looked for."""
    return [Route(path, partial(_send, file), name=path) for path, file in files(folder).items()]


async def _send(file: File, request: Request) -> Response:
    headers = {**SAFE, "ETag": file.tag, "Cache-Control": file.keep}
    known = {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}
    if file.tag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.kind, headers=headers)
