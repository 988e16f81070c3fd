"""Waking one's own agent from inside its box: what `hive wake` does.

The rule kept here: it is quick, because hooks wait for it, so it needs the standard library only; and a
repeated attempt is one message.
"""

import http.client
import json
import socket
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

ATTEMPTS = 3
SECONDS = 10.0
"""How long one attempt may take."""


class NotWoken(Exception):
    """The agent could not be reached, or its endpoint refused; the text says why."""


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def send_wake(endpoint: str, token: str | None, label: str, body: str, *, new_id: Callable[[], str]) -> str:
    """Leave the agent at `endpoint`, a URL or the path of its socket, a message from outside.

    Returns what its endpoint answered.  Raises `NotWoken`.
    """
    headers = {"content-type": "application/json", "idempotency-key": new_id()}
    if token:
        headers["authorization"] = f"Bearer {token}"
    content = json.dumps({"label": label, "body": body}).encode()
    failure: OSError | http.client.HTTPException | None = None
    for _ in range(ATTEMPTS):
        try:
            return _post(endpoint, headers, content)
        except (OSError, http.client.HTTPException) as error:
            failure = error
    raise NotWoken(f"{endpoint} cannot be reached: {failure}") from failure


def _post(endpoint: str, headers: dict[str, str], content: bytes) -> str:
    connection, path = _connection(endpoint)
    try:
        connection.request("POST", path, content, headers)
        response = connection.getresponse()
        answer = json.loads(response.read() or b"{}")
    except ValueError as error:
        raise NotWoken(f"{endpoint} is no endpoint of hive: it does not answer in JSON.") from error
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise NotWoken(str(answer.get("error", f"{endpoint} answered {response.status}")))
    return str(answer["text"])


def _connection(endpoint: str) -> tuple[http.client.HTTPConnection, str]:
    if "://" not in endpoint:
        return _OverSocket(endpoint), "/wake"
    url = urlsplit(endpoint)
    plain = http.client.HTTPConnection if url.scheme == "http" else http.client.HTTPSConnection
    return plain(url.hostname or "", url.port, timeout=SECONDS), url.path.rstrip("/") + "/wake"
