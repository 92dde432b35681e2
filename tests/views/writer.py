"""`python -m tests.views.writer FILE SEED`: writes views, a frame at a time, to be killed.

It goes on from what the file has, and prints each position once it is written.
"""

import sys
from contextlib import closing
from pathlib import Path

from projections.batches import Projector, frame_hash
from projections.sqlite import SqliteStore
from tests.projections.story import frames_of


def main(path: Path, seed: int) -> None:
    frames = list(frames_of(seed))
    with closing(SqliteStore(path)) as store:
        projector = Projector(store.kept())
        done = projector.checkpoint
        hashes = [frame_hash(frame) for frame in frames]
        first = hashes.index(done.hash) + 1 + done.quiet if done.position else done.quiet
        for frame in frames[first:]:
            batch = projector.take([frame])
            store.write(batch)
            print(batch.checkpoint.position, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
