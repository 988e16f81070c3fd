"""The page and the operator's socket as one ASGI application.

The rule kept here: before a byte of hive is shown, Host, Origin and login have been checked, and a caller on
the operator's socket is neither another user nor an agent's process.
"""

import hmac
from collections.abc import Mapping
from typing import Final, cast

import trio
from attrs import define, field
from quart import Response, redirect, request, websocket
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio

from hive.actors import HiveError
from hive.actors.protocol import Perform
from hive.protocol.commands import AddWebSession, RevokeWebSession
from hive.protocol.errors import HiveRefusal
from hive.protocol.grammar import Role
from hive.sockets import Credentials
from hive.web import wire
from hive.web.ancestry import descends_from_agent
from hive.web.connection import Connection
from hive.web.conversation import Conversation
from hive.web.files import Static
from hive.web.login import (
    SESSION_SECONDS,
    cookie_name,
    hashed,
    host_allowed,
    origin_allowed,
    session_cookie,
    session_secret,
)
from hive.web.metrics import CONTENT_TYPE
from hive.web.parts import Login, Via, WebParts

LISTENER: Final = "hive.listener"
OPERATOR_LISTENER: Final = "operator"
"""Value of the scope entry `hive.listener` on the operator's own socket."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types hive"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"
SIGN_IN = """<!doctype html><meta charset="utf-8"><title>hive: sign in</title>
<p>This page needs a login. Type <code>hive open</code> in a terminal: it prints a link that logs in.</p>
"""
USED_UP = """<!doctype html><meta charset="utf-8"><title>hive: link used up</title>
<p>This link has been used or is older than ten minutes. Type <code>hive open</code> for a fresh one.</p>
"""


@define(eq=False)
class WebsocketSocket:
    """The accepted websocket of the request at work."""

    async def receive(self) -> str | bytes:
        """The next message."""
        return await websocket.receive()

    async def send(self, data: str) -> None:
        """Send one text frame."""
        await websocket.send(data)

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye."""
        await websocket.close(code, reason[:120])


def page_app(parts: WebParts, static: Static) -> QuartTrio:
    """Build the application.  One app serves any number of listeners and incarnations."""
    app = QuartTrio(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    faces = Faces(parts, static)
    app.before_request(faces.check_host)
    app.after_request(faces.add_headers)
    app.after_websocket(faces.add_headers_to_refusal)
    app.add_url_rule("/", "shell", faces.shell, methods=["GET"])
    app.add_url_rule("/login", "login", faces.log_in, methods=["GET"])
    app.add_url_rule("/logout", "logout", faces.log_out, methods=["POST"])
    app.add_url_rule("/favicon.ico", "favicon", faces.favicon, methods=["GET"])
    app.add_url_rule("/metrics", "metrics", faces.metrics, methods=["GET"])
    app.add_url_rule("/static/<digest>/<path:path>", "static", faces.file, methods=["GET"])
    app.add_websocket("/ws", "ws", faces.converse)
    return app


@define(eq=False)
class Faces:
    """The routes."""

    _parts: WebParts
    _static: Static
    _cookie: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Name the cookie after the log, which is another one after a restore: old sessions end there."""
        self._cookie = cookie_name(self._parts.store.reader.head().log_id)

    # --- before and after ------------------------------------------------------------------------

    async def check_host(self) -> Response | None:
        """Refuse names we do not go by."""
        if _on_operator_socket(request.scope) or host_allowed(request.host, self._parts.origins()):
            return None
        return Response("this hive does not go by that name\n", 403, content_type="text/plain")

    async def add_headers(self, response: Response) -> Response:
        """Put the policy on every answer."""
        for name, value in HEADERS.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def add_headers_to_refusal(self, response: ResponseReturnValue | None) -> Response | None:
        """Put the policy on the answer to a websocket that was not accepted."""
        return None if response is None else await self.add_headers(cast("Response", response))

    # --- pages -----------------------------------------------------------------------------------

    async def shell(self) -> Response:
        """The page, or where to get a login."""
        if self._session(request.headers.get("Cookie")) is None:
            return Response(SIGN_IN, 401, content_type="text/html; charset=utf-8")
        return Response(self._static.shell, content_type="text/html; charset=utf-8")

    async def file(self, digest: str, path: str) -> Response:
        """One file of the page."""
        body = self._static.files.get(path)
        if body is None or not hmac.compare_digest(digest.encode(), self._static.digest.encode()):
            return Response("no such file\n", 404, content_type="text/plain")
        response = Response(body, content_type=self._static.kind(path))
        response.headers["Cache-Control"] = FOR_EVER
        return response

    async def favicon(self) -> Response:
        """A picture for the browser's tab."""
        body = self._static.files.get("favicon.svg", b"")
        return Response(body, content_type="image/svg+xml")

    async def metrics(self) -> Response:
        """Figures for a scraper that has a login, or is the owner's on the operator's socket."""
        if refused := await self._no_scraper():
            return refused
        return Response(self._parts.metrics.text(), content_type=CONTENT_TYPE)

    async def _no_scraper(self) -> Response | None:
        if _on_operator_socket(request.scope):
            person = await self._person_on_socket(request.scope)
            return person if isinstance(person, Response) else None
        origin = request.headers.get("Origin")
        if origin is not None and not origin_allowed(origin, self._parts.origins()):
            return _refusal(403, "another page asks for this")
        if self._session(request.headers.get("Cookie")) is None:
            return _refusal(401, "sign in: hive open; or ask on the operator's socket")
        return None

    async def log_in(self) -> Response:
        """Use a one-time code up for a session."""
        if not self._parts.codes.take(request.args.get("code", "")):
            return Response(USED_UP, 403, content_type="text/html; charset=utf-8")
        secret = self._parts.new_secret()
        session = AddWebSession(hashed(secret), "owner", self._parts.wall() + SESSION_SECONDS)
        try:
            await self._parts.broker.ask(Perform(session))
        except (HiveRefusal, HiveError) as error:
            return Response(f"{error}\nThen type: hive open\n", 503, content_type="text/plain; charset=utf-8")
        response = cast("Response", redirect("/", 303))
        response.headers["Set-Cookie"] = session_cookie(self._cookie, secret)
        return response

    async def log_out(self) -> Response:
        """End the browser's session."""
        if not origin_allowed(request.headers.get("Origin"), self._parts.origins()):
            return Response("this form came from elsewhere\n", 403, content_type="text/plain")
        if login := self._session(request.headers.get("Cookie")):
            try:
                await self._parts.broker.ask(Perform(RevokeWebSession(login.session)))
            except (HiveRefusal, HiveError) as error:
                text = f"{error}\nYou are still logged in: try again.\n"
                return Response(text, 503, content_type="text/plain; charset=utf-8")
        response = cast("Response", redirect("/", 303))
        response.headers["Set-Cookie"] = session_cookie(self._cookie, "", 0)
        return response

    # --- the websocket ---------------------------------------------------------------------------

    async def converse(self) -> Response | None:
        """Speak `hive.1` with the page or with the command line."""
        admitted = await self._admitted()
        if isinstance(admitted, Response):
            return admitted
        await websocket.accept(subprotocol=wire.SUBPROTOCOL)
        stopping = cast("trio.Event", cast("Mapping[str, object]", websocket.scope)["hive.stopping"])
        conversation = Conversation(WebsocketSocket(), Connection(admitted, self._parts), self._parts)
        await conversation.run(stopping)
        return None

    async def _admitted(self) -> Login | Response:
        """Who this is, or the answer that says why not."""
        if wire.SUBPROTOCOL not in websocket.requested_subprotocols:
            return _refusal(400, f"speak the subprotocol {wire.SUBPROTOCOL}")
        if _on_operator_socket(websocket.scope):
            return await self._person_on_socket(websocket.scope)
        origins = self._parts.origins()
        if not host_allowed(websocket.host, origins):
            return _refusal(403, "this hive does not go by that name")
        if not origin_allowed(websocket.headers.get("Origin"), origins):
            return _refusal(403, "this websocket was opened by another page")
        return self._session(websocket.headers.get("Cookie")) or _refusal(401, "sign in: hive open")

    async def _person_on_socket(self, scope: object) -> Login | Response:
        """The owner on the operator's socket, unless an agent's process pretends to be one."""
        peer = cast("Credentials | None", cast("Mapping[str, object]", scope).get("hive.peer"))
        recorded = {process.pid for process in self._parts.store.reader.processes()}
        if peer is None:
            return _refusal(403, "nobody knows who you are")
        if await trio.to_thread.run_sync(descends_from_agent, peer.pid, recorded):
            return _refusal(403, "this socket is the operator's; use the tools of your own endpoint")
        return Login(self._parts.operator_identity, Role.OWNER, Via.SOCKET)

    def _session(self, cookie: str | None) -> Login | None:
        secret = session_secret(cookie, self._cookie)
        if secret is None:
            return None
        role = self._parts.store.reader.web_session(hashed(secret))
        if role is None:
            return None
        return Login(self._parts.operator_identity, Role[role.upper()], Via.PAGE, hashed(secret))


def _on_operator_socket(scope: object) -> bool:
    return isinstance(scope, dict) and scope.get(LISTENER) == OPERATOR_LISTENER


def _refusal(status: int, text: str) -> Response:
    return Response(text + "\n", status, content_type="text/plain")
