"""Quotas of clients in the key schema: their names stand where units' do, in keys of the ledger."""

from __future__ import annotations

from control_plane import keys

CLIENT_QUOTA = "tenant:"  # what their names begin with
QUEUE = "~"  # between the id of a session and the number of a commit queue


def client_quota(tenant_id: str, quota_id: str) -> str:
    """What a tenant's quota of clients is called where units are: in keys of capacity, usage, fence
    and starvation notices. No unit's id has a colon. quota_id: empty: what all of its have in
    front."""
    return f"{CLIENT_QUOTA}{tenant_id}:{quota_id}"


def tenant_of_quota(name: str) -> str:
    """Whose the quota of this name is."""
    return name.removeprefix(CLIENT_QUOTA).partition(":")[0]


def of_client_quotas(tenant_id: str) -> tuple[bytes, ...]:
    """Prefixes: all that the ledger keeps of a tenant's quotas of clients."""
    name = client_quota(tenant_id, "").encode()
    return tuple(kind + name for kind in (keys.CAPACITY, keys.USAGE, keys.FENCE, keys.STARVING))


def session_of(holder: str) -> str:
    """The id of the session under which a grant is held: what one commit queue has of a quota has
    the queue's number behind it."""
    return holder.partition(QUEUE)[0]
