"""The tools over real HTTP, with the SDK's own client, on both wires."""

from typing import TYPE_CHECKING

import pytest
from mcp.types import CallToolResult, TextContent

if TYPE_CHECKING:
    from conftest import House

ERAS = ("legacy", "2026-07-28")
both_wires = pytest.mark.parametrize("era", ERAS)


def said(result: object) -> str:
    """The text of a tool's answer."""
    assert isinstance(result, CallToolResult)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@both_wires
async def test_mail_goes_from_one_agents_client_to_anothers(house: "House", era: str) -> None:
    """What `send` accepted, the recipient's `recv` gets, with the sender's checked name."""
    async with house.client("iris", era=era) as iris, house.client("rose", era=era) as rose:
        sent = await iris.call_tool("send", {"to": "rose", "body": "hello rose"})
        got = await rose.call_tool("recv", {})

    assert "accepted as #1" in said(sent)
    assert "from iris, from outside hive" in said(got)
    assert "hello rose" in said(got)
