"""How room would be made on a host: the moves as a table, and in a sentence what they cost."""

from restow.cli.flags import At, Reading
from restow.cli.output import Item, Page, field, show_item, show_list, tell, text
from restow.cli.spelling import Body
from restow.cli.talk import good, since, talk

MOVES = (
    field("CONTAINER", "container"),
    field("FROM", "source"),
    field("TO", "target"),
    field("CLOUDLETS", "cloudlets"),
)


async def show_room(body: Body, *, at: At, how: Reading) -> None:
    """Ask by which moves there would be room, and show them. Raises `ProblemError`."""
    async with talk(at) as region:
        found = good(await region.read("host.room", {**body, **since(how)}))
    if how.output not in {"table", "wide"}:
        show_item(found, how.look, lambda one: text(one.get("host")))
        return
    if found["moves"]:
        show_list(Page(found["moves"]), MOVES, how.look, MOVES[0].text)
    tell(verdict(found))


def verdict(found: Item) -> str:
    """Say in a sentence what a search for room found."""
    if not found["possible"]:
        proof = "proven" if found["certain"] else "as far as was looked"
        return f"no room: {found['missing']} cloudlets are missing ({proof}); {found['why']}"
    count = len(found["moves"])
    proof = "none is cheaper" if found["certain"] else "the cheapest that was seen"
    moves = "1 move" if count == 1 else f"{count} moves"
    return f"{moves}, {found['moved']} cloudlets ({proof})" if count else "it is free already"
