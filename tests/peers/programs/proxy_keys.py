"""Tells a LiteLLM proxy whose key it was given; runs inside the proxy."""

from litellm.proxy._types import UserAPIKeyAuth

OWNERS = {
    "sk-cedar-app-0001": ("cedar", "cedar-app"),
    "sk-cedar-batch-0002": ("cedar", "cedar-batch"),
    "sk-maple-app-0003": ("maple", "maple-app"),
    "sk-maple-agent-0004": ("maple", "maple-agent"),
    "sk-maple-leaked-0005": ("maple", "maple-leaked"),
}


async def authenticate(request, api_key):
    """The owner of a key; an exception is a refusal."""
    if api_key not in OWNERS:
        raise ValueError("no such key")
    team, user = OWNERS[api_key]
    return UserAPIKeyAuth(api_key=api_key, team_id=team, user_id=user, org_id=f"org-{team}")
