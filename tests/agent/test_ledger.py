"""The ledger survives its agent: what was written is read again, what was torn off is not."""

import asyncio
from pathlib import Path
from threading import Timer

import pytest

from domain.memory import EpochSeen, OrderTaken, ReportAcknowledged, ReportOwed
from domain.messages import AskId, ContainerId, HostId, OrderId
from domain.orders import Order, ReportOrder, Restart
from handlers.agent import records
from handlers.agent.ledger import Ledger
from handlers.agent.records import (
    SPARE_BYTES,
    Records,
    RecordsDamagedError,
    RecordsInUseError,
)

H1 = HostId("h01")
ORDER = Order(OrderId("o1"), H1, ContainerId("node1"), Restart())
REPORT = ReportOrder(ask=AskId("o1/r"), host=H1, order=OrderId("o1"), done=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "h01" / "ledger"


def written(path: Path, *records: bytes) -> None:
    file, _ = Records.open(path)
    for record in records:
        file.append(record)
    file.close()


def read(path: Path) -> list[bytes]:
    file, records = Records.open(path)
    file.close()
    return records


def test_records_are_read_in_the_order_they_were_written(path):
    written(path, b"one", b"two")
    written(path, b"three")
    assert read(path) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("torn", range(1, 8 + len(b"two")))
def test_a_torn_tail_is_ignored_and_written_over(path, torn):
    written(path, b"one", b"two")
    path.write_bytes(path.read_bytes()[:-torn])
    assert read(path) == [b"one"]
    written(path, b"three")
    assert read(path) == [b"one", b"three"]


def test_a_tail_of_zeros_is_a_torn_one(path):
    written(path, b"one")
    path.write_bytes(path.read_bytes() + bytes(512))
    assert read(path) == [b"one"]


def test_an_altered_last_record_is_a_torn_one(path):
    written(path, b"one", b"two")
    path.write_bytes(path.read_bytes().replace(b"two", b"owt"))
    assert read(path) == [b"one"]


@pytest.mark.parametrize("at", range(11, 22))
def test_damage_in_the_middle_is_named_and_not_guessed_at(path, at):
    written(path, b"one", b"two", b"three")
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 64]) + data[at + 1 :])
    with pytest.raises(RecordsDamagedError, match="byte 11"):
        Records.open(path)


def test_who_was_killed_holds_a_file_for_a_moment(path):
    file, _ = Records.open(path)
    file.append(b"one")
    timer = Timer(0.2, file.close)
    timer.start()
    assert read(path) == [b"one"]
    timer.join()


def test_a_file_has_one_writer(path, monkeypatch):
    monkeypatch.setattr(records, "IN_USE_S", 0.05)
    file, _ = Records.open(path)
    with pytest.raises(RecordsInUseError, match="another agent"):
        Records.open(path)
    file.compact([b"one"])
    with pytest.raises(RecordsInUseError, match="another agent"):
        Records.open(path)
    file.close()
    assert read(path) == [b"one"]


def test_each_start_is_a_new_incarnation(path):
    for incarnation in (1, 2, 3):
        ledger = Ledger.open(path, H1)
        assert ledger.agent.incarnation == incarnation
        ledger.close()


async def test_what_is_owed_and_under_way_is_there_after_a_start(path):
    ledger = Ledger.open(path, H1)
    second = OrderTaken(Order(OrderId("o2"), H1, ContainerId("node2"), Restart()))
    await ledger.keep(EpochSeen(4), OrderTaken(ORDER), ReportOwed(REPORT), second)
    before = ledger.agent
    ledger.close()
    for _ in range(2):
        again = Ledger.open(path, H1)
        assert again.agent.under_way == before.under_way == {"o2": second.order}
        assert again.agent.owed == {"o1/r": REPORT}
        assert again.agent.epoch == 4
        again.close()


def test_entries_written_together_are_there_together_or_not_at_all(path):
    ledger = Ledger.open(path, H1)
    ledger.note(OrderTaken(ORDER))
    ledger.note(ReportOwed(REPORT), ReportAcknowledged(REPORT.ask))
    ledger.close()
    path.write_bytes(path.read_bytes()[:-1])
    again = Ledger.open(path, H1)
    assert again.agent.under_way == {"o1": ORDER}
    assert again.agent.answered == {}
    again.close()


def test_a_start_leaves_one_record_behind(path):
    ledger = Ledger.open(path, H1)
    for epoch in range(1, 50):
        ledger.note(EpochSeen(epoch))
    ledger.close()
    Ledger.open(path, H1).close()
    assert len(read(path)) == 1


def grown(ledger: Ledger) -> None:
    """Write several times as much as may be of the past."""
    for epoch in range(1, 3 * SPARE_BYTES // 16):
        ledger.note(EpochSeen(epoch))


def test_a_ledger_does_not_grow_for_ever(path):
    ledger = Ledger.open(path, H1)
    ledger.note(OrderTaken(ORDER))
    grown(ledger)
    before = ledger.agent
    ledger.close()
    assert path.stat().st_size < 2 * SPARE_BYTES
    again = Ledger.open(path, H1)
    assert again.agent.under_way == before.under_way == {"o1": ORDER}
    assert again.agent.epoch == before.epoch
    again.close()


def test_where_it_cannot_be_compacted_it_grows_and_nothing_is_lost(path):
    ledger = Ledger.open(path, H1)
    path.with_suffix(".new").mkdir()
    grown(ledger)
    epoch = ledger.agent.epoch
    ledger.close()
    path.with_suffix(".new").rmdir()
    assert path.stat().st_size > 2 * SPARE_BYTES
    again = Ledger.open(path, H1)
    assert again.agent.epoch == epoch
    again.close()


async def test_a_file_is_not_compacted_while_it_is_synced(path):
    file, _ = Records.open(path)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(50):
            file.append(bytes(SPARE_BYTES // 40))
            tasks.create_task(file.sync())
            await asyncio.sleep(0)
            file.tidy(lambda: [b"all"])
    file.tidy(lambda: [b"all"])
    file.close()
    assert read(path) == [b"all"]
