"""An MCP client: takes a URL, a key and a JSON list of [tool, arguments], and calls them."""

import asyncio
import json
import sys

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main(url, key, calls):
    headers = {"Authorization": f"Bearer {key}", "x-litellm-api-key": f"Bearer {key}"}
    http = httpx.AsyncClient(headers=headers, timeout=30, follow_redirects=True)
    async with (
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        failed = []
        for name, arguments in calls:
            result = await session.call_tool(name, arguments)
            failed.append(bool(getattr(result, "is_error", getattr(result, "isError", False))))
        print(json.dumps({"tools": tools, "failed": failed}))


asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
