"""Hosts ask each other by TCP whether they are cut off."""

import asyncio

from domain.lease import Seats, Standing
from domain.messages import HostId
from handlers.agent.neighbours import PATIENCE_S, Neighbours

H1, H2 = HostId("h01"), HostId("h02")
QUIET = Standing(H1, quiet=True, seats=Seats(3, (H1, H2)))


async def test_a_host_says_how_it_stands() -> None:
    async with Neighbours().serving("127.0.0.1") as here:
        here.standings[H1] = lambda: QUIET

        assert await Neighbours().ask_all({H1: here.at}, 5.0) == {H1: QUIET}


async def test_of_a_host_that_is_elsewhere_nothing_is_said() -> None:
    async with Neighbours().serving("127.0.0.1") as here:
        here.standings[H1] = lambda: QUIET

        assert await Neighbours().ask(H2, here.at, 5.0) is None


async def test_an_answer_in_the_name_of_another_counts_for_nothing() -> None:
    async with Neighbours().serving("127.0.0.1") as here:
        here.standings[H2] = lambda: QUIET

        assert await Neighbours().ask(H2, here.at, 5.0) is None


async def test_where_nobody_listens_nothing_is_said() -> None:
    async with Neighbours().serving("127.0.0.1") as here:
        gone = here.at

    assert await Neighbours().ask(H1, gone, 5.0) is None
    assert await Neighbours().ask(H1, "no address", 5.0) is None


async def test_who_says_nothing_is_not_waited_for() -> None:
    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    began = asyncio.get_running_loop().time()

    assert await Neighbours().ask(H1, f"{host}:{port}", 0.1) is None
    assert asyncio.get_running_loop().time() - began < PATIENCE_S
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.3)


async def test_rubbish_is_borne() -> None:
    async with Neighbours().serving("127.0.0.1") as here:
        here.standings[H1] = lambda: QUIET
        name, _, port = here.at.rpartition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        writer.write(b"\xff" * 10_000 + b"\n")
        assert await reader.read() == b""
        writer.close()

        assert await Neighbours().ask(H1, here.at, 5.0) == QUIET
