import pytest

from projections import keyframes
from tests.machine.histories import CLOSE_US, History
from tests.projections.story import frames_of


@pytest.fixture
def close_together(monkeypatch):
    """Let keyframes be every ten frames or so."""
    monkeypatch.setattr(keyframes, "APART_US", CLOSE_US)


@pytest.fixture
async def history(tmp_path, close_together) -> History:
    """Return a small history with many keyframes."""
    return await History(frames_of(3), tmp_path / "keyframes").framed()
