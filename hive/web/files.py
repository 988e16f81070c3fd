"""The page's own files, read once, served under their hash.

The rule kept here: the folder's hash is in every address, so files never change under one, and a browser
may keep them for ever.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

HERE = Path(__file__).resolve().parent / "static"
SHELL = "shell.html"
KINDS: Mapping[str, str] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
MISSING_VENDOR = """<!doctype html><meta charset="utf-8"><title>hive</title>
<p>The page's modules are missing. Run <code>bin/hive status</code> once in the checkout while online:
set-up fetches them. The command line works without them.</p>
"""


@frozen
class Static:
    """Everything the page is made of."""

    digest: str
    files: Mapping[str, bytes]
    shell: str

    def kind(self, path: str) -> str:
        """The content type of a file."""
        suffix = Path(path).suffix
        return KINDS.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"


def _files(folder: Path, prefix: str = "") -> Mapping[str, bytes]:
    return {
        prefix + path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def load(vendor: Path | None, here: Path = HERE) -> Static:
    """Read the page's files and others' modules; without `vendor` the page says what is missing."""
    files = {path: body for path, body in _files(here).items() if not path.startswith("vendor/")}
    whole = vendor is not None and vendor.is_dir()
    if vendor is not None and whole:
        files.update(_files(vendor, "vendor/"))
    hashed = hashlib.sha256()
    for path, body in sorted(files.items()):
        hashed.update(f"{path}\0{len(body)}\0".encode() + body)
    digest = hashed.hexdigest()[:16]
    shell = files.pop(SHELL, b"").decode()
    return Static(digest, files, _filled(shell, digest, files) if whole else MISSING_VENDOR)


def _filled(shell: str, digest: str, files: Mapping[str, bytes]) -> str:
    """The shell with the hash in its addresses and a line per module, so that nothing waits its turn."""
    modules = [path for path in files if path.endswith(".js") and not path.startswith("vendor/")]
    preload = "\n".join(
        f'<link rel="modulepreload" href="/static/{digest}/{path}">' for path in sorted(modules)
    )
    return shell.replace("{{hash}}", digest).replace("<!-- modulepreload -->", preload)
