# SPDX-License-Identifier: Apache-2.0
"""The echo server in a running image, against the client of Python's websockets."""

import asyncio
import re
import urllib.error
import urllib.request

import pytest
from twister_harness import DeviceAdapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

TIMEOUT = 20


@pytest.fixture(scope="module")
def address(dut: DeviceAdapter):
    lines = dut.readlines_until(regex=r"listening on port \d+", timeout=TIMEOUT)
    port = re.search(r"listening on port (\d+)", lines[-1]).group(1)
    return f"127.0.0.1:{port}"


def run(address, conversation, **options):
    """Runs `conversation` with an open WebSocket, and returns how it was closed."""

    async def main():
        async with asyncio.timeout(TIMEOUT):
            async with connect(f"ws://{address}/", max_size=None, **options) as socket:
                await conversation(socket)
            return socket.close_code, socket.close_reason

    return asyncio.run(main())


@pytest.mark.parametrize(
    "message",
    ["", "Grüße", "x" * 125, "x" * 126, b"", bytes(range(256)), bytes(65535), bytes(65536)],
    ids=lambda message: f"{type(message).__name__}-{len(message)}",
)
def test_echoes_a_message(address, message):
    async def conversation(socket):
        await socket.send(message)
        assert await socket.recv() == message

    assert run(address, conversation) == (1000, "")


def test_echoes_a_message_far_larger_than_any_buffer(address):
    message = bytes(i * 7 % 251 for i in range(1 << 20))

    async def conversation(socket):
        await socket.send(message)
        assert await socket.recv() == message

    assert run(address, conversation) == (1000, "")


def test_echoes_fragments_with_a_ping_between_them(address):
    async def conversation(socket):
        async def fragments():
            yield "Gr\u00fc"
            await (await socket.ping(b"between"))
            yield "\u00dfe"

        await socket.send(fragments())
        assert await socket.recv() == "Grüße"

    assert run(address, conversation) == (1000, "")


def test_answers_a_ping_with_its_payload(address):
    async def conversation(socket):
        await (await socket.ping(bytes(125)))

    assert run(address, conversation) == (1000, "")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_echoes_the_close_code(address, code):
    async def conversation(socket):
        await socket.close(code, "reason")
        assert socket.protocol.close_rcvd.code == code

    run(address, conversation)


def raw_frame(socket, data):
    socket.transport.write(data)


@pytest.mark.parametrize(
    ("frame", "codes"),
    [
        (bytes([0x81, 0x82, 0, 0, 0, 0, 0xC3, 0x28]), {1007}),
        (bytes([0xC1, 0x80, 0, 0, 0, 0]), {1002}),
        (bytes([0x83, 0x80, 0, 0, 0, 0]), {1002}),
        (bytes([0x81, 0x00]), {1002}),
        (bytes([0x80, 0x80, 0, 0, 0, 0]), {1002}),
        (bytes([0x89, 0xFE, 0, 126, 0, 0, 0, 0]), {1002}),
        # To a board with 32-bit addresses it is too long, and no more than that.
        (bytes([0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), {1002, 1009}),
        (bytes([0x88, 0x81, 0, 0, 0, 0, 3]), {1002}),
        (bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xED]), {1002}),
    ],
    ids=[
        "utf-8", "reserved-bit", "reserved-opcode", "unmasked", "nothing-to-continue",
        "long-ping", "length-over-2^63", "one-byte-close", "close-1005",
    ],
)
def test_fails_the_connection_with(address, frame, codes):
    async def conversation(socket):
        raw_frame(socket, frame)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd.code in codes

    run(address, conversation)


def status_of(address, method="GET", path="/", **headers):
    request = urllib.request.Request(f"http://{address}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_serves_its_page_beside_the_websocket(address):
    async def conversation(socket):
        status, headers, body = await asyncio.to_thread(status_of, address)
        assert status == 200
        assert headers["Content-Type"].startswith("text/html")
        assert b"WebSocket" in body
        await socket.send("still here")
        assert await socket.recv() == "still here"

    run(address, conversation)


def test_answers_other_requests_with_an_http_error(address):
    assert status_of(address, path="/nothing")[0] == 404
    assert status_of(address, method="POST")[0] == 405


def test_refuses_another_version_and_names_its_own(address):
    async def main():
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n\r\n"
        )
        async with asyncio.timeout(TIMEOUT):
            answer = await reader.read()
        writer.close()
        return answer

    answer = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer


def test_refuses_pages_of_another_origin(address):
    async def conversation(_):
        raise AssertionError("accepted")

    with pytest.raises(InvalidStatus) as refused:
        run(address, conversation, origin="http://evil.example")
    assert refused.value.response.status_code == 403


def test_accepts_pages_of_its_own_origin(address):
    async def conversation(socket):
        await socket.send("hello")
        assert await socket.recv() == "hello"

    run(address, conversation, origin="http://device.example")


def test_serves_twenty_connections_one_right_after_the_other(address):
    async def conversation(socket):
        await socket.send("next")
        assert await socket.recv() == "next"

    assert [run(address, conversation) for _ in range(20)] == [(1000, "")] * 20


def test_asks_a_silent_peer_for_a_sign_of_life(address):
    pinged = []

    class Connection(ClientConnection):
        def process_event(self, event):
            if getattr(event, "opcode", None) is Opcode.PING:
                pinged.append(event)
            super().process_event(event)

    async def conversation(socket):
        while not pinged:
            await asyncio.sleep(0.05)
        await socket.send("alive")
        assert await socket.recv() == "alive"

    run(address, conversation, create_connection=Connection)


CONNECTIONS = 4  # CONFIG_RUST_WEBSOCKET_MAX_CONNECTIONS


async def opened(address, **options):
    """A WebSocket, once the connections of the tests before have left their slots."""
    while True:
        try:
            return await connect(f"ws://{address}/", **options)
        except InvalidStatus as refused:
            assert refused.response.status_code == 503
            await asyncio.sleep(0.1)


def test_tells_one_peer_too_many_to_come_back_later(address):
    async def main():
        async with asyncio.timeout(TIMEOUT):
            sockets = [await opened(address) for _ in range(CONNECTIONS)]
            for _ in range(3):
                status, headers, _ = await asyncio.to_thread(status_of, address)
                assert (status, int(headers["Retry-After"]) > 0) == (503, True)
            for number, socket in enumerate(sockets):
                await socket.send(f"number {number}")
                assert await socket.recv() == f"number {number}"
            await sockets.pop().close()
            sockets.append(await opened(address))
            await sockets[-1].send("came back")
            assert await sockets[-1].recv() == "came back"
            for socket in sockets:
                await socket.close()
                assert socket.close_code == 1000

    asyncio.run(main())


def test_a_peer_that_does_not_read_delays_nobody(address):
    async def main():
        async with asyncio.timeout(TIMEOUT):
            # Never reads: its replies fill every buffer between us.
            deaf = await opened(address, max_queue=1, ping_interval=None)
            sending = asyncio.create_task(deaf.send(bytes(64 << 20)))
            await asyncio.sleep(0.5)
            assert not sending.done()
            socket = await opened(address)
            for number in range(50):
                await socket.send(f"number {number}")
                assert await socket.recv() == f"number {number}"
            assert (await asyncio.to_thread(status_of, address))[0] == 200
            await socket.close()
            sending.cancel()
            deaf.transport.abort()

    asyncio.run(main())


def test_serves_on_after_all_of_this(address):
    async def conversation(socket):
        await socket.send("well")
        assert await socket.recv() == "well"

    assert run(address, conversation) == (1000, "")
