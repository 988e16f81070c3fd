"""What the browser gets from others is what we pinned, has its licence, and loads nothing from elsewhere."""

import dataclasses
import hashlib
import io
import re
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from hive.web import vendor

PINS = vendor.read_pins()
IMPORTS = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']""")


@pytest.fixture
def served() -> Path:
    """The folder the server would serve."""
    return vendor.location()


def test_every_file_has_the_pinned_hash(served: Path) -> None:
    """Recomputed here, not taken from the module under test."""
    for package in PINS:
        for file in package.files:
            assert hashlib.sha256((served / file.write).read_bytes()).hexdigest() == file.sha256, file.write


def test_every_package_has_its_licence_beside_it(served: Path) -> None:
    """A licence that must travel with the files does."""
    words = {
        "MIT": "Permission is hereby granted",
        "Apache-2.0": "Apache License",
        "OFL-1.1": "SIL OPEN FONT LICENSE",
    }
    for package in PINS:
        assert words[package.licence] in (served / package.licence_text).read_text(encoding="utf-8")


def test_nothing_else_is_in_the_folder(served: Path) -> None:
    """What nobody named is not served."""
    named = {file.write for package in PINS for file in package.files} | {
        package.licence_text for package in PINS
    }
    found = {str(path.relative_to(served)) for path in served.rglob("*") if path.is_file()}
    assert found - {".stamp"} == named


def test_no_module_imports_anything_but_its_neighbours(served: Path) -> None:
    """No bare name is left, and every relative one leads to a file of the folder."""
    seen = 0
    for path in served.glob("*.js"):
        for name in IMPORTS.findall(path.read_text(encoding="utf-8")):
            seen += 1
            assert name.startswith("./"), f"{path.name} imports {name}"
            assert (served / name).is_file(), f"{path.name} imports {name}"
    assert seen >= 6


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ('import{h}from"preact";', 'import{h}from"./preact.js";'),
        ("import 'preact/hooks'", "import './hooks.js'"),
        ('export { a } from "preact"', 'export { a } from "./preact.js"'),
        ('const m = import("preact")', 'const m = import("./preact.js")'),
        ('import x from"./own.js"', 'import x from"./own.js"'),
        ("x();//# sourceMappingURL=x.js.map", "x();\n"),
    ],
)
def test_bare_imports_become_relative(source: str, result: str) -> None:
    """In every form a module may use."""
    assert vendor.made_local(source, {"preact": "preact.js", "preact/hooks": "hooks.js"}) == result


def test_an_import_that_nothing_provides_is_refused() -> None:
    """Better here than as a blank page."""
    with pytest.raises(vendor.VendorError, match="elsewhere"):
        vendor.made_local('import "elsewhere"', {})


def test_the_set_up_says_where_the_folder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that cannot be written has its modules in the cache."""
    monkeypatch.setenv("HIVE_VENDOR_DIR", "/somewhere")
    assert vendor.location() == Path("/somewhere")
    monkeypatch.delenv("HIVE_VENDOR_DIR")
    assert vendor.location() == vendor.PACKAGED


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "World":
    """One package, and a program named npm that delivers it."""
    return World(tmp_path, monkeypatch)


class World:
    """A registry with one package in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the package, pin it, and put an npm first on PATH."""
        self.target = folder / "static" / "vendor"
        self.delivered = folder / "delivered.tgz"
        self.module = b'import"one";\n'
        written = b'import"./one.js";\n'
        self.pack({"package/one.mjs": self.module, "package/LICENSE": b"do as you like"})
        self.pins = (
            vendor.Package(
                name="@scope/one",
                version="1.0.0",
                licence="MIT",
                sha256=vendor.digest(self.delivered),
                files=(
                    vendor.File(
                        "package/one.mjs", "one.js", hashlib.sha256(written).hexdigest(), module="one"
                    ),
                ),
            ),
        )
        self.npm = folder / "bin" / "npm"
        self.npm.parent.mkdir()
        # $3 is the folder: npm pack --pack-destination FOLDER ...
        self.program(f'cp "{self.delivered}" "$3/scope-one-1.0.0.tgz"')
        monkeypatch.setenv("PATH", f"{self.npm.parent}:/usr/bin:/bin")

    def pack(self, files: dict[str, bytes]) -> None:
        """Make the tarball that will be delivered."""
        with tarfile.open(self.delivered, "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))

    def program(self, script: str) -> None:
        """Say what npm does."""
        self.npm.write_text(f"#!/bin/sh\n{script}\n")
        self.npm.chmod(stat.S_IRWXU)

    def fetch(self, pins: Sequence[vendor.Package] | None = None) -> bool:
        """Fetch, by default what is pinned."""
        return vendor.fetch(self.target, self.pins if pins is None else pins)


def test_fetching_puts_the_files_and_the_licence_in_place(world: World) -> None:
    """And leaves nothing else behind."""
    assert world.fetch()
    assert (world.target / "one.js").read_text() == 'import"./one.js";\n'
    assert (world.target / "licences" / "scope-one.txt").read_text() == "do as you like"
    assert [path.name for path in world.target.parent.iterdir()] == ["vendor"]


def test_what_is_in_place_is_not_fetched_again(world: World) -> None:
    """Without npm, too: who has the files does not need it."""
    world.fetch()
    world.npm.unlink()
    assert not world.fetch()


def test_a_file_that_was_changed_is_fetched_anew(world: World) -> None:
    """The hash decides, not the presence."""
    world.fetch()
    (world.target / "one.js").write_text("alert()")
    assert world.fetch()
    assert vendor.unsound(world.target, world.pins) == []


def test_a_tarball_with_another_hash_is_refused_and_the_old_folder_stays(world: World) -> None:
    """Nothing unpinned ever reaches the folder."""
    world.fetch()
    (world.target / "one.js").write_text("old")
    world.pack({"package/one.mjs": b"evil()", "package/LICENSE": b""})
    with pytest.raises(vendor.VendorError, match="pinned is"):
        world.fetch()
    assert (world.target / "one.js").read_text() == "old"
    assert [path.name for path in world.target.parent.iterdir()] == ["vendor"]


def test_a_file_that_does_not_come_out_as_pinned_is_refused(world: World) -> None:
    """The rewriting is pinned as much as the source; the text gives the hash to pin."""
    (package,) = world.pins
    (file,) = package.files
    other = dataclasses.replace(package, files=(dataclasses.replace(file, sha256="0" * 64),))
    with pytest.raises(vendor.VendorError, match=file.sha256):
        world.fetch([other])
    assert not world.target.exists()


def test_a_failing_npm_is_quoted(world: World) -> None:
    """Its own words say more than ours."""
    world.program("echo the dog ate it >&2; exit 3")
    with pytest.raises(vendor.VendorError, match="the dog ate it"):
        world.fetch()


def test_npm_trusts_whom_the_machine_trusts(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Node has a list of its own and asks the machine only when told to; a person's choice comes first."""
    monkeypatch.setattr(vendor, "TRUSTED", tmp_path / "certificates")
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)
    assert "NODE_EXTRA_CA_CERTS" not in vendor.environment()
    vendor.TRUSTED.touch()
    assert vendor.environment()["NODE_EXTRA_CA_CERTS"] == str(vendor.TRUSTED)
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/mine")
    assert vendor.environment()["NODE_EXTRA_CA_CERTS"] == "/mine"


def test_leftovers_of_a_killed_run_are_no_hindrance(world: World) -> None:
    """The next run starts from nothing."""
    leftover = world.target.parent / ".vendor.new" / "new" / "one.js"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    assert world.fetch()
    assert not leftover.exists()


def test_without_npm_the_text_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither on PATH nor as a Python package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(vendor.VendorError, match="apt install npm"):
        vendor.npm_command()
