"""`restow audit export`: the events of the journal as JSON Lines or Parquet."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from projections.exporting import Record, records
from restow.cli.exits import UsageError
from restow.cli.flags import SHOWN, Showing
from restow.cli.history import ALL_TIME, BEGINNING, THERE, Between, There, journal, when
from restow.cli.output import as_line, out, say
from restow.parquet import NoParquetError, ParquetFile

Write = Callable[[Sequence[Record]], None]
STDOUT = "-"
FORMATS = "name a file that ends with .jsonl or .parquet, or - for JSON Lines on stdout"
BATCH = 1_000


async def export(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    span: Between = ALL_TIME,
    stream: Annotated[str, Parameter(help="Only streams that begin so: host., container.n")] = "",
    at: There = THERE,
    how: Showing = SHOWN,
) -> None:
    """Write the events of the journal, with who asked for them, as flat records.

    The ending says how: .jsonl (a line for each event, - for stdout) or .parquet (needs pyarrow).
    """
    del how
    begin, end = when(span.begin, BEGINNING), when(span.end)
    count = 0
    with written(file) as write:
        async with journal(at) as reaching:
            begun = (await reaching.reach(begin)).reads.position
            batch: list[Record] = []
            async for position, commit in reaching.commits(begun, end):
                found = [one for one in records(position, commit) if one.stream.startswith(stream)]
                batch += found
                count += len(found)
                if len(batch) >= BATCH:
                    write(batch)
                    batch = []
            write(batch)
    if file != STDOUT:
        say(f"{count:,} events written to {file}")


@contextmanager
def written(file: str) -> Generator[Write]:
    """Return what takes records. Raises `UsageError`."""
    if file == STDOUT:
        yield print_lines
        return
    path = Path(file)
    try:
        if path.suffix == ".jsonl":
            with path.open("w", encoding="utf-8") as lines:
                yield lambda batch: lines.writelines(f"{as_line(one)}\n" for one in batch)
        elif path.suffix == ".parquet":
            with closing(ParquetFile(path)) as parquet:
                yield parquet.write
        else:
            message = f"{file!r} says no format: {FORMATS}"
            raise UsageError(message)
    except (NoParquetError, OSError) as error:
        raise UsageError(str(error)) from error


def print_lines(batch: Sequence[Record]) -> None:
    for one in batch:
        out(as_line(one))
