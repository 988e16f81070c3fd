"""Opening the sockets hive listens on, and asking who is at the other end.

A listening socket is opened once, by whoever composes the daemon, and outlives every server that accepts from
it: so a restart loses no connection that was waiting. Nothing here awaits or imports a server.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Protocol

from attrs import frozen

from hive.actors import HiveError

BACKLOG = 128
"""Connections the kernel keeps waiting for us, also while no server is accepting."""

TCP_STALL = 15.0
"""Seconds that sent data may stay unacknowledged before the kernel gives the connection up.

The second net: the server itself closes a client that stops reading much sooner."""

UNIX_PATH_BYTES = 107
"""Bytes of a unix socket's path that fit into the kernel's address structure, without the closing zero."""

_OTHERS = 0o077
_LISTENING = "0A"
_CREDENTIALS = struct.Struct("iII")


class CannotListen(HiveError):
    """An address cannot be listened on. The text says why, and what to change."""


class PortInUse(CannotListen):
    """Another process listens there already. The text names it where we may know it."""


class HasOptions(Protocol):
    """A socket, the standard library's or Trio's."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """The option's raw value."""


@frozen
class Credentials:
    """Who opened the other end of a unix socket, as the kernel saw it then.

    `pid` is 0 for a process outside our pid namespace.
    """

    pid: int
    uid: int
    gid: int


@frozen
class Holder:
    """A process that listens on a port we wanted."""

    pid: int
    command: str


def open_tcp(host: str, port: int, *, option: str = "--port") -> socket.socket:
    """Listen on a TCP port; port 0 lets the kernel choose one.

    Raises `PortInUse` or `CannotListen`; `option` is the setting their texts tell the person to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TCP_STALL * 1000))
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(_in_use(host, port, option)) from error
        raise CannotListen(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with {option}."
        ) from error
    return opened


def open_unix(path: Path, mode: int = 0o600) -> socket.socket:
    """Listen on a unix socket in an existing directory that is its owner's alone (0700).

    A socket file nobody listens on any more is replaced. A symbolic link, as the file or as its directory, is
    refused, and so is anything else that is in the way. Raises `PortInUse` or `CannotListen`.
    """
    _check_address(path)
    _remove_stale(path)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.bind(os.fspath(path))
        # Nobody can connect before `listen`, so the mode the umask left for a moment does not matter.
        _change_mode(path, mode)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise CannotListen(f"Cannot listen on {path}: {error.strerror}.") from error
    return opened


def peer_credentials(connected: HasOptions) -> Credentials:
    """The process at the other end of a connected unix socket; raises `OSError` for other sockets."""
    size = _CREDENTIALS.size
    return Credentials(
        *_CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    )


def port_holder(port: int, proc: Path = Path("/proc")) -> Holder | None:
    """The process listening on a TCP port, or None where it is gone or we may not look into it."""
    tables = [proc / "net" / "tcp", proc / "net" / "tcp6"]
    inodes = {
        inode for table in tables if table.exists() for inode in listening_inodes(table.read_text(), port)
    }
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = (_holder(process, wanted) for process in proc.glob("[0-9]*"))
    return next(filter(None, found), None)


def listening_inodes(table: str, port: int) -> set[str]:
    """The inodes of the sockets that listen on a port, from the text of /proc/net/tcp."""
    suffix = f":{port:04X}"
    rows = (line.split() for line in table.splitlines()[1:])
    return {row[9] for row in rows if row[1].endswith(suffix) and row[3] == _LISTENING}


def _in_use(host: str, port: int, option: str) -> str:
    holder = port_holder(port)
    by = f"by {holder.command} (process {holder.pid})" if holder else "by a process we may not look into"
    return (
        f"{host} port {port} is already in use {by}. Stop that process, or choose another port with {option}."
    )


def _holder(process: Path, wanted: set[str]) -> Holder | None:
    try:
        if any(str(entry.readlink()) in wanted for entry in (process / "fd").iterdir()):
            # The bare name: a command's arguments may hold somebody's secret.
            return Holder(int(process.name), (process / "comm").read_text().strip())
    except OSError:
        pass  # another user's, or it has just ended
    return None


def _check_address(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > UNIX_PATH_BYTES:
        raise CannotListen(
            f"{path} has {length} bytes; a socket's path may have {UNIX_PATH_BYTES}. Choose a shorter one."
        )
    try:
        found = path.parent.lstat().st_mode
    except OSError as error:
        raise CannotListen(
            f"Cannot listen on {path}: its directory cannot be read ({error.strerror}). Create it, mode 0700."
        ) from error
    if not stat.S_ISDIR(found) or found & _OTHERS:
        raise CannotListen(
            f"Cannot listen on {path}: {path.parent} must be a directory, no link, with mode 0700."
        )


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found):
        raise CannotListen(f"Cannot listen on {path}: something that is no socket is in the way. Move it.")
    if _is_served(path):
        raise PortInUse(f"{path} is already in use by a running process. Stop that process first.")
    path.unlink(missing_ok=True)


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full backlog would make a blocking connect wait; it is somebody's backlog all the same.
        probe.settimeout(0)
        return probe.connect_ex(os.fspath(path)) in {0, errno.EAGAIN}


def _change_mode(path: Path, mode: int) -> None:
    # Through a handle on the very file: a link put in its place meanwhile is not followed.
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(mode)
    finally:
        os.close(handle)
