"""The credentials of a hive: named sets of environment variables, each in a file for nobody else to read.

The rule kept here: a value goes in by `put` and comes out by `variables`, for the environment of a CLI that
leaves no other way; it is in no error, no name of a file, and no `repr`.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from attrs import field, frozen

from hive.protocol.errors import Malformed, Refused
from hive.protocol.names import check_name
from hive.protocol.views import Credential

VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

TAKEN: Final = re.compile(r"PATH|HOME|LANG|SHELL|USER|TMPDIR|PYTHON.*|NODE_.*|LD_.*|HIVE_.*")
"""Variables by which a CLI would run otherwise than hive means it to, not be logged in."""

VALUE_CHARACTERS: Final = 8192
"""Longer than any key or token in use."""


@frozen
class Keyring:
    """The credentials below a folder, which has mode 0700."""

    folder: Path = field(repr=False)

    def variables(self, name: str) -> Mapping[str, str]:
        """The environment a credential stands for; empty where there is no such credential.

        Raises `Refused` where its file cannot be used, without a word of what stands in it.
        """
        try:
            kept = json.loads(self._file(name).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            kept = None
        if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
            raise Refused(f"The credential {name} cannot be read. Set it anew: hive secret set {name}.")
        return kept

    def put(self, name: str, variable: str, value: str) -> tuple[str, ...]:
        """Keep a value; answers the names of all variables that the credential has now.

        Raises `Malformed`, which does not name the value, and `OSError` with what was there untouched.
        """
        check_variable(variable)
        _check_value(value)
        kept = {**self._usable(name), variable: value}
        self._write(name, kept)
        return tuple(sorted(kept))

    def remove(self, name: str, variable: str | None = None) -> tuple[str, ...]:
        """Forget a credential, or one variable of it.  Answers those that are left.  Raises `OSError`."""
        left = {} if variable is None else {**self._usable(name)}
        left.pop(variable or "", None)
        if left:
            self._write(name, left)
        else:
            self._clear(name)
            self._file(name).unlink(missing_ok=True)
            self._sync()
        return tuple(sorted(left))

    def credentials(self) -> tuple[Credential, ...]:
        """All of them, by name; one that cannot be read has no variables, and what is none is left out."""
        found = []
        for file in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            with suppress(OSError, Malformed):  # removed meanwhile, or somebody else's
                variables = tuple(sorted(self._usable(check_name(file.stem))))
                found.append(Credential(file.stem, variables, file.stat().st_mtime))
        return tuple(found)

    def _usable(self, name: str) -> Mapping[str, str]:
        try:
            return self.variables(name)
        except Refused:
            return {}

    def _file(self, name: str) -> Path:
        return self.folder / f"{check_name(name)}.json"

    def _write(self, name: str, kept: Mapping[str, str]) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)
        self._clear(name)
        new = self.folder / f".{name}.{secrets.token_hex(8)}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(kept, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file(name))
        finally:
            new.unlink(missing_ok=True)
        self._sync()

    def _clear(self, name: str) -> None:
        """Take away what a daemon that was killed was about to write."""
        for path in self.folder.glob(f".{name}.*"):
            path.unlink(missing_ok=True)

    def _sync(self) -> None:
        """Else a power cut could bring back what is gone."""
        with suppress(FileNotFoundError):
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def check_variable(name: str) -> str:
    """Return `name` where a credential may set it.  Raises `Malformed`."""
    if not VARIABLE.fullmatch(name):
        raise Malformed(
            f"{name[:40]!r} is no variable for a key: use letters, digits and '_', as in OPENAI_API_KEY."
        )
    if TAKEN.fullmatch(name):
        raise Malformed(f"{name} is not for a credential to set: it would change how the CLI is run.")
    return name


def _check_value(value: str) -> None:
    if not value:
        raise Malformed("The value is empty; nothing was changed. To take it away: hive secret remove NAME.")
    if len(value) > VALUE_CHARACTERS:
        raise Malformed(f"The value has {len(value)} characters; {VALUE_CHARACTERS} is the most.")
    if not value.isascii() or not value.isprintable():
        # Not quoted: it may be the key with something at its end.
        raise Malformed(
            "The value has characters that no key has, as line ends: one line of printable ASCII is taken."
        )
