# SPDX-License-Identifier: Apache-2.0
"""The echo client in a running image, against servers of Python's websockets."""

import asyncio
import http
import re
import threading

import pytest
from twister_harness import DeviceAdapter
from websockets.asyncio.server import serve

TIMEOUT = 30


@pytest.fixture
def port(unlaunched_dut: DeviceAdapter):
    """The port that the test scenario has built into the image."""
    config = unlaunched_dut.device_config.app_build_dir / "zephyr" / ".config"
    url = r'CONFIG_ECHO_CLIENT_URL="ws://[^/]*:(\d+)/'
    return int(re.search(url, config.read_text()).group(1))


class Server:
    """Runs `handler` in a thread until it is stopped, and keeps what clients were seen to do."""

    def __init__(self, port, handler, **options):
        self.port = port
        self.handler = handler
        self.options = options
        self.closed = []
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main()), daemon=True)

    async def main(self):
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()

        async def handler(socket):
            await self.handler(socket)
            await socket.wait_closed()
            self.closed.append((socket.close_code, socket.close_reason))

        async with serve(handler, "127.0.0.1", self.port, max_size=None, **self.options):
            self.ready.set()
            await self.stopped.wait()

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(TIMEOUT)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(TIMEOUT)


async def echo(socket):
    async for message in socket:
        await (await socket.ping(b"in between"))
        await socket.send(message)


async def echo_in_fragments(socket):
    async for message in socket:
        await socket.send([message[:1], message[1:2], message[2:]])


async def shout(socket):
    async for message in socket:
        await socket.send(message.upper() if isinstance(message, str) else message)


async def send_invalid_utf8(socket):
    await socket.recv()
    socket.transport.write(bytes([0x81, 0x01, 0xFF]))


async def send_masked(socket):
    await socket.recv()
    socket.transport.write(bytes([0x81, 0x80, 1, 2, 3, 4]))


async def close_at_once(socket):
    await socket.close(1001, "maintenance")


def outcome(device):
    device.launch()
    try:
        pattern = r"messages echoed|came back changed|(ERROR|INFO):rustapp: .*"
        return device.readlines_until(regex=pattern, timeout=TIMEOUT)[-1]
    finally:
        device.close()


@pytest.mark.parametrize("handler", [echo, echo_in_fragments])
def test_recognises_its_echo_and_closes(unlaunched_dut: DeviceAdapter, port, handler):
    with Server(port, handler) as server:
        assert "4 messages echoed" in outcome(unlaunched_dut)
    assert server.closed == [(1000, "done")]


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (shout, "message 1 came back changed"),
        (send_invalid_utf8, "not UTF-8"),
        (send_masked, "masked"),
        (close_at_once, "closed"),
    ],
)
def test_says_why_there_is_no_echo(unlaunched_dut: DeviceAdapter, port, handler, words):
    with Server(port, handler) as server:
        assert words in outcome(unlaunched_dut)
    codes = {send_invalid_utf8: 1007, send_masked: 1002}
    if handler in codes:
        assert server.closed[0][0] == codes[handler]


def test_says_that_the_server_refused(unlaunched_dut: DeviceAdapter, port):
    def refuse(connection, _):
        return connection.respond(http.HTTPStatus.FORBIDDEN, "no\n")

    with Server(port, echo, process_request=refuse):
        assert "answered 403 instead of 101" in outcome(unlaunched_dut)


def test_says_that_nobody_listens(unlaunched_dut: DeviceAdapter):
    assert "nobody listens" in outcome(unlaunched_dut)
