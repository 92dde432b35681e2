"""Commands that are poison, as the durable door tells the region of them."""

from domain.dead import KeepDead
from domain.messages import AskId, Code, Tenant


def poison(origin: str, tenant: str = "acme", body: bytes = b"{", size: int = 0) -> KeepDead:
    return KeepDead(
        origin=origin,
        tenant=Tenant(tenant),
        ask=AskId(f"of {origin}"),
        command="layer.restart",
        code=Code.REQUEST_INVALID,
        detail="the body is not JSON",
        body=body,
        bytes=size or len(body),
    )
