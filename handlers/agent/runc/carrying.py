"""From host to host: disks and images of memory, through TLS, to one that has promised room.

The target makes a key and a certificate for each container that is to arrive, and tells the source
its fingerprint and a secret, over the bus, as the place to send to. So each knows the other, and
what is sent is read by nobody else. A connection is good for one container and ends with it.
"""

import asyncio
import os
import secrets
import ssl
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from handlers.agent.runc.blocks import Chunk
from handlers.agent.runc.tools import run
from handlers.agent.runtime import RuntimeFailedError

HEAD_BYTES_MAX = 4_096
PATIENCE_S = 30.0
SECRET_BYTES = 32
SCHEME = "tls://"
BLOCK_BYTES = 1 << 20
BAD = "is not where a container can be sent"


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Who knows the secret, and how large the disk is."""

    secret: str
    disk_bytes: int


class Block(msgspec.Struct, frozen=True, tag="block"):
    """A chunk of the disk follows."""

    offset: int
    size: int


class File(msgspec.Struct, frozen=True, tag="file"):
    """A file of the image of memory follows."""

    name: str
    size: int


class Done(msgspec.Struct, frozen=True, tag="done"):
    """All that was sent is to be there for certain, before this is answered."""


Head = Hello | Block | File | Done
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Head)


class Address(msgspec.Struct, frozen=True):
    """`tls://10.0.0.2:4711/<secret>/<fingerprint>`."""

    host: str
    port: int
    secret: str
    fingerprint: str

    @property
    def text(self) -> str:
        return f"{SCHEME}{self.host}:{self.port}/{self.secret}/{self.fingerprint}"

    @classmethod
    def read(cls, text: str) -> "Address":
        """Raises `RuntimeFailedError`."""
        place, _, rest = text.removeprefix(SCHEME).partition("/")
        host, _, port = place.rpartition(":")
        secret, _, fingerprint = rest.partition("/")
        if not (text.startswith(SCHEME) and port.isdecimal() and fingerprint):
            message = f"{text[:40]!r} {BAD}"
            raise RuntimeFailedError(message)
        return cls(host, int(port), secret, fingerprint)


class Sender:
    """One connection to a target. Raises `RuntimeFailedError` where it cannot be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, endpoint: str, disk_bytes: int) -> "Sender":
        """Connect, see that it is who it should be, and say who we are."""
        address = Address.read(endpoint)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # by its fingerprint
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, ssl=trusting
                )
        except (OSError, TimeoutError) as error:
            message = f"{address.host}:{address.port} does not take what is sent: {error}"
            raise RuntimeFailedError(message) from error
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        sender = cls(reader, writer)
        if not secrets.compare_digest(sha256(shown).hexdigest(), address.fingerprint):
            sender.close()
            message = f"{address.host}:{address.port} is not who it should be"
            raise RuntimeFailedError(message)
        await sender._say(Hello(address.secret, disk_bytes))
        return sender

    async def disk(self, chunks: Iterable[Chunk]) -> int:
        """Send chunks of a disk, and return how many bytes that were."""
        sent = 0
        for offset, data in chunks:
            await self._say(Block(offset, len(data)), data)
            sent += len(data)
        return sent

    async def files(self, paths: Iterable[Path]) -> None:
        """Send files."""
        for path in paths:
            await self._say(File(path.name, path.stat().st_size))
            with path.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    await self._send(block)

    async def done(self) -> None:
        """Return when all is there for certain."""
        await self._say(Done())
        try:
            async with asyncio.timeout(PATIENCE_S):
                said = await self._reader.readline()
        except (OSError, TimeoutError):
            said = b""
        if said != b"ok\n":
            message = f"the target has not taken it: {said.decode(errors='replace') or 'silence'}"
            raise RuntimeFailedError(message)

    def close(self) -> None:
        self._writer.close()

    async def _say(self, head: Head, data: bytes = b"") -> None:
        await self._send(_encoder.encode(head) + b"\n" + data)

    async def _send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            message = f"the connection to the target broke: {error}"
            raise RuntimeFailedError(message) from error


class Receiver:
    """Where one container arrives: its disk and the files of its image, under `folder`."""

    def __init__(self, folder: Path, disk: Path, server: asyncio.Server, address: Address) -> None:
        self.address = address
        self._folder = folder
        self._disk = disk
        self._server = server
        self._secret = address.secret
        self._talks: set[asyncio.StreamWriter] = set()

    @classmethod
    async def open(cls, folder: Path, disk: Path, host: str) -> "Receiver":
        """Listen on `host` with a certificate of its own."""
        context, fingerprint = await certificate(folder)
        made: list[Receiver] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await made[0].hear(reader, writer)

        server = await asyncio.start_server(hear, host, 0, ssl=context, limit=BLOCK_BYTES)
        port = server.sockets[0].getsockname()[1]
        address = Address(host, port, secrets.token_hex(SECRET_BYTES), fingerprint)
        made.append(cls(folder, disk, server, address))
        return made[0]

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what one connection brings; one that is not who it should be is not answered."""
        self._talks.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, msgspec.DecodeError, ValueError):
            hello = _decoder.decode(await reader.readline())
            if isinstance(hello, Hello) and secrets.compare_digest(hello.secret, self._secret):
                await self._take(reader, writer, hello.disk_bytes)
        self._talks.discard(writer)
        writer.close()

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, disk_bytes: int
    ) -> None:
        fd = os.open(self._disk, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, disk_bytes)
            while line := await reader.readline():
                head: Head = _decoder.decode(line)
                match head:
                    case Block(offset, size):
                        os.pwrite(fd, await reader.readexactly(size), offset)
                    case File(name, size):
                        await self._file(reader, name, size)
                    case Done():
                        await asyncio.to_thread(os.fsync, fd)
                        writer.write(b"ok\n")
                        await writer.drain()
                    case Hello():
                        return
        finally:
            os.close(fd)

    async def _file(self, reader: asyncio.StreamReader, name: str, size: int) -> None:
        path = self._folder / Path(name).name
        with path.open("wb") as file:
            path.chmod(0o600)
            while size:
                data = await reader.readexactly(min(size, BLOCK_BYTES))
                file.write(data)
                size -= len(data)

    def close(self) -> None:
        self._server.close()
        for writer in self._talks:
            writer.transport.abort()


async def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Make a key and a certificate for one arrival, and return its fingerprint."""
    key, cert = folder / ".key", folder / ".cert"
    await run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-days", "2", "-subj", "/CN=restow", "-keyout", str(key), "-out", str(cert)),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    der = ssl.PEM_cert_to_DER_cert(cert.read_text())
    for path in (key, cert):
        path.unlink()
    return context, sha256(der).hexdigest()
