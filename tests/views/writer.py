"""`python -m tests.views.writer WHERE PREFIX SEED`: writes views, frame by frame, to be killed.

WHERE is a folder, or with a prefix the address of a database.

It goes on from what is there, and prints each position once it is written.
"""

import asyncio
import sys
from pathlib import Path

from projections.batches import Projector, frame_hash
from projections.keeping import patient
from projections.schemas import SchemaShelf
from projections.shelf import FileShelf
from projections.stores import Shelf
from tests.projections.story import frames_of


def shelf_of(where: str, prefix: str) -> Shelf:
    return SchemaShelf(where, prefix) if prefix else FileShelf(Path(where))


async def main(where: str, prefix: str, seed: int) -> None:
    frames = list(frames_of(seed))
    shelf = shelf_of(where, prefix)
    store = await patient(lambda: shelf.store(1))
    await shelf.use(1)
    projector = Projector(await store.kept())
    done = projector.checkpoint
    hashes = [frame_hash(frame) for frame in frames]
    first = hashes.index(done.hash) + 1 + done.quiet if done.position else done.quiet
    for frame in frames[first:]:
        batch = projector.take([frame])
        await store.write(batch)
        print(batch.checkpoint.position, flush=True)  # noqa: T201
    await store.close()
    await shelf.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
