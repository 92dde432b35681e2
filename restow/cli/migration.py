"""`restow migration`: live migrations, with their phases and their downtime."""

from restow.cli.flags import HERE, PLAINLY, At, Reading, noun
from restow.cli.naming import Migration
from restow.cli.output import age, field
from restow.cli.talk import show_all, show_one

migration = noun("migration", "Live migrations, with their phases and their downtime.")

COLUMNS = (
    field("MIGRATION", "id"),
    field("CONTAINER", "container"),
    field("SOURCE", "source"),
    field("TARGET", "target"),
    field("STATE", "state"),
    field("FREEZE-MS", "freeze_ms"),
    field("TOTAL-MS", "total_ms"),
    age("AGE", "requested_at"),
    field("PHASES", "phases", wide=True),
    field("DETAIL", "detail", wide=True),
)


@migration.command(name="list", help_epilogue="For example: restow migration list -o wide")
async def list_migrations(*, at: At = HERE, how: Reading = PLAINLY) -> None:
    """List migrations, those under way first."""
    await show_all("migration.list", {}, COLUMNS, at=at, how=how)


@migration.command(help_epilogue="For example: restow migration show mv5")
async def show(name: Migration, /, *, at: At = HERE, how: Reading = PLAINLY) -> None:
    """Show one migration: freeze is its downtime, total is from granted to running."""
    await show_one("migration.show", {"migration": name}, "id", at=at, how=how)
