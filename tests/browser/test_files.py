"""What the page is made of: small, everything in reach, and nothing that could be markup."""

import gzip
import re
from posixpath import dirname, join, normpath

import pytest

from hive.web.files import Static

IMPORTS = re.compile(r"""(?:\bfrom|\bimport)\s*["'](\.[^"']+)["']""")
EAGER_BYTES = 60 * 1024
FIRST = "app/main.js"


def eager(static: Static) -> set[str]:
    """Every module the browser loads before the page works."""
    found, ahead = set[str](), [FIRST]
    while ahead:
        path = ahead.pop()
        if path not in found:
            found.add(path)
            names = IMPORTS.findall(static.files[path].decode())
            ahead += [normpath(join(dirname(path), name)) for name in names]
    return found


def test_what_must_be_loaded_first_is_small(static: Static) -> None:
    """All modules a first visit needs, compressed."""
    size = sum(len(gzip.compress(static.files[path])) for path in eager(static))
    assert 0 < size <= EAGER_BYTES


def test_every_module_of_ours_is_used(static: Static) -> None:
    """Nothing is served that nothing imports."""
    ours = {path for path in static.files if path.startswith("app/")}
    assert ours == {path for path in eager(static) if path.startswith("app/")}


@pytest.mark.parametrize("way", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("])
def test_no_text_ever_becomes_markup(static: Static, way: str) -> None:
    """The page builds nodes; it parses nothing."""
    for path, body in static.files.items():
        if path.startswith("app/"):
            assert way not in body.decode(), path


def test_every_icon_that_is_named_is_drawn(static: Static) -> None:
    """A name without a symbol would be an empty space."""
    drawn = set(re.findall(r'<symbol id="([^"]+)"', static.files["icons.svg"].decode()))
    views = "".join(body.decode() for path, body in static.files.items() if path.startswith("app/"))
    assert set(re.findall(r"""["'](i-[a-z]+)["']""", views)) == drawn


def test_honey_is_kept_for_what_waits_for_a_person(static: Static) -> None:
    """In the page's styles the colour stands only where somebody is needed, and in hive's own mark."""
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", static.files["style/page.css"].decode())
    users = [selector.strip() for selector, body in rules if "--honey" in body]
    allowed = re.compile(r"honey|waiting|blocked|\.mk")
    assert users
    assert [selector for selector in users if not allowed.search(selector)] == []
