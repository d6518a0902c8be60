# SPDX-License-Identifier: Apache-2.0
"""A server that receives in one thread and sends in two, against a client of Python's websockets."""

import asyncio
import contextlib
import re
import socket as sockets

import pytest
from twister_harness import DeviceAdapter
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

TIMEOUT = 60

# The same as in tests/zephyr/split/src/server.rs.
MAX_LEN = 20_000

# Little, so that the server soon has no room when nobody reads here.
RECEIVE_BUFFER = 16_384

PIECE = bytes(i % 251 for i in range(251 * 200))


@pytest.fixture(scope="module")
def port(dut: DeviceAdapter):
    lines = dut.readlines_until(regex=r"listening on port \d+", timeout=TIMEOUT)
    return int(re.search(r"listening on port (\d+)", lines[-1]).group(1))


class Client:
    """Checks every message, and counts those of each of the server's threads."""

    def __init__(self, socket, dut):
        self.socket = socket
        self.dut = dut
        self.sent = 0
        self.pings = 0
        self.received = {ord("a"): 0, ord("b"): 0}

    async def read(self):
        # The server may close within a message, which this client takes for an error.
        with contextlib.suppress(ConnectionClosedError):
            async for message in self.socket:
                name = message[4]
                index = self.received[name]
                length = 5 + index * 37 % (MAX_LEN - 4)
                expected = index.to_bytes(4) + bytes([name]) * (length - 4)
                assert message == expected, "a message that is not whole, or not in order"
                self.received[name] += 1

    async def write(self, count):
        for _ in range(count):
            await self.socket.send(PIECE)
            self.sent += len(PIECE)

    async def ping(self, count):
        """Pings, each when the one before was answered."""
        for i in range(count):
            await (await self.socket.ping(bytes([i]) * (i * 31 % 126)))
            self.pings += 1

    async def log(self, regex):
        lines = await asyncio.to_thread(self.dut.readlines_until, regex=regex, timeout=TIMEOUT)
        return re.search(regex, lines[-1])

    async def check_log(self):
        """What the server has received is what was sent, and the reverse."""
        log = await self.log(r"received (\d+) bytes and (\d+) Pings, sent (\d+) and (\d+) messages")
        assert [int(count) for count in log.groups()] == [
            self.sent, self.pings, *self.received.values()
        ]
        assert min(self.received.values()) > 1


def run(port, dut, conversation):
    """Runs `conversation` with a client, and returns how the connection was closed."""

    async def main():
        async with asyncio.timeout(TIMEOUT):
            raw = sockets.socket()
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, RECEIVE_BUFFER)
            raw.connect(("127.0.0.1", port))
            async with connect(
                f"ws://127.0.0.1:{port}/", sock=raw, max_size=None, ping_interval=None,
                close_timeout=TIMEOUT,
            ) as socket:
                client = Client(socket, dut)
                await conversation(client)
                await client.check_log()
            return socket.close_code, socket.close_reason

    return asyncio.run(main())


def test_receives_and_sends_at_a_time_until_the_client_closes(port, dut):
    async def conversation(client):
        reader = asyncio.create_task(client.read())
        await asyncio.gather(client.write(40), client.ping(100))
        await client.socket.close(1001, "")
        await reader

    assert run(port, dut, conversation) == (1001, "")


def test_receives_and_sends_at_a_time_until_the_server_closes(port, dut):
    async def conversation(client):
        reader = asyncio.create_task(client.read())
        await asyncio.gather(client.write(40), client.ping(100))
        await client.socket.send("close")
        await reader

    assert run(port, dut, conversation) == (1000, "as asked")


def test_receives_while_nobody_reads_what_it_sends(port, dut):
    async def conversation(client):
        client.socket.transport.pause_reading()
        # More than is on its way before the server has to wait.
        await asyncio.sleep(2)
        await client.write(20)
        await client.socket.send("report")
        assert int((await client.log(r"so far (\d+) bytes")).group(1)) == client.sent
        pong = await client.socket.ping(b"meanwhile")
        client.pings += 1
        client.socket.transport.resume_reading()
        reader = asyncio.create_task(client.read())
        await pong
        await client.ping(5)
        await client.socket.close(1000, "")
        await reader

    assert run(port, dut, conversation) == (1000, "")
