# SPDX-License-Identifier: Apache-2.0
"""WebSockets behind Zephyr's HTTP server, and its pages beside them."""

import asyncio
import contextlib
import re
import socket as sockets
import ssl
import struct
import urllib.request

import pytest
from certificates import built_in
from twister_harness import DeviceAdapter
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

TIMEOUT = 30
CONNECTIONS = 4  # CONFIG_RUST_WEBSOCKET_MAX_CONNECTIONS
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
UPGRADE = ("Host: device.example", "Upgrade: websocket", "Connection: Upgrade")
FIELDS = (*UPGRADE, KEY, VERSION)


class Server:
    """The image that runs, over HTTPS if it was built so."""

    def __init__(self, port, ca):
        self.port = port
        self.tls = ssl.create_default_context(cafile=ca) if ca.exists() else None

    def url(self, scheme, path):
        return f"{scheme}{'s' if self.tls else ''}://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def server(dut: DeviceAdapter):
    lines = dut.readlines_until(regex=r"listening on port \d+", timeout=TIMEOUT)
    port = re.search(r"listening on port (\d+)", lines[-1]).group(1)
    return Server(port, built_in(dut) / "ca.pem")


def within(conversation, seconds=TIMEOUT):
    async def main():
        async with asyncio.timeout(seconds):
            return await conversation

    return asyncio.run(main())


def get(server, path):
    url = server.url("http", path)
    with urllib.request.urlopen(url, timeout=TIMEOUT, context=server.tls) as response:
        return response.headers["Content-Type"], response.read()


def check_pages(server):
    """The page that stays the same, and the one that counts."""
    assert get(server, "/") == ("text/html", b"<!doctype html><title>static</title>\n")
    kind, first = get(server, "/count")
    _, second = get(server, "/count")
    assert (kind, int(second)) == ("text/plain", int(first) + 1)


async def pages(server):
    await asyncio.to_thread(check_pages, server)


def open_socket(server, path="/echo", **options):
    url = server.url("ws", path)
    return connect(url, ssl=server.tls, max_size=None, ping_interval=None, **options)


async def opened(server):
    """A WebSocket that answers, once those of the tests before have left their slots."""
    while True:
        socket = await open_socket(server)
        try:
            await echo(socket, "here?")
            return socket
        except ConnectionClosed as closed:
            assert closed.rcvd.code == 1013
            await asyncio.sleep(0.1)


async def echo(socket, message):
    await socket.send(message)
    assert await socket.recv() == message


async def end_of(socket):
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    return closed.value.rcvd.code, closed.value.rcvd.reason


def request(*fields, line="GET /echo HTTP/1.1"):
    return "\r\n".join([line, *fields, "", ""]).encode()


@contextlib.asynccontextmanager
async def raw(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def answer_to(server, bytes_):
    """The head of the answer to a request, and all that follows up to the end."""
    async with raw(server) as (reader, writer):
        writer.write(bytes_)
        head = await reader.readuntil(b"\r\n\r\n")
        return head, await reader.read()


def close_frame(code, reason=""):
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes([0x88, len(payload)]) + payload


def masked(first, payload):
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def test_serves_both_kinds_of_pages(server):
    check_pages(server)


@pytest.mark.parametrize(
    "message",
    ["", "Grüße", "x" * 126, bytes(range(256)), bytes(65536)],
    ids=lambda message: f"{type(message).__name__}-{len(message)}",
)
def test_echoes_a_message(server, message):
    async def conversation():
        async with open_socket(server) as socket:
            await echo(socket, message)
            await (await socket.ping(b"payload"))
        assert socket.close_code == 1000

    within(conversation())


def test_serves_pages_while_every_slot_of_the_hub_is_taken(server):
    async def conversation():
        # More than CONFIG_HTTP_SERVER_MAX_CLIENTS: none of them counts there any more.
        async with contextlib.AsyncExitStack() as stack:
            open_ = []
            for _ in range(CONNECTIONS):
                open_.append(await opened(server))
                stack.push_async_callback(open_[-1].close)
            for number in range(5):
                await pages(server)
                for socket in open_:
                    await echo(socket, f"{number}")

    within(conversation())


def test_echoes_between_many_page_requests(server):
    async def conversation():
        async with open_socket(server) as socket:
            requests = asyncio.create_task(asyncio.to_thread(lambda: [check_pages(server) for _ in range(20)]))
            count = 0
            while not requests.done():
                await echo(socket, f"{count}")
                count += 1
            await requests
            assert count > 0

    within(conversation())


def test_outlives_the_inactivity_timer_of_its_page_client(server):
    async def conversation():
        async with open_socket(server) as socket:
            await echo(socket, "before")
            # CONFIG_HTTP_SERVER_CLIENT_INACTIVITY_TIMEOUT is 1 s.
            await asyncio.sleep(2.5)
            await echo(socket, "after")

    within(conversation())


def test_accepts_pages_of_its_own_origin_only(server):
    async def conversation():
        async with open_socket(server, origin="http://device.example") as socket:
            await echo(socket, "own")
        async with open_socket(server, origin="http://evil.example") as socket:
            assert await end_of(socket) == (1008, "Forbidden")

    within(conversation())


def test_closes_with_1013_what_the_application_has_no_time_for(server):
    async def conversation():
        async with open_socket(server, "/echo?busy") as socket:
            assert await end_of(socket) == (1013, "Service Unavailable")

    within(conversation())


def test_agrees_on_no_subprotocol(server):
    async def conversation():
        async with open_socket(server, subprotocols=["chat"]) as socket:
            assert socket.subprotocol is None
            await echo(socket, "none")

    within(conversation())


@pytest.mark.parametrize(
    "bad",
    [
        request(*UPGRADE, VERSION),
        request(*UPGRADE, KEY),
        request(*UPGRADE, KEY, "Sec-WebSocket-Version: 8"),
        request(*UPGRADE, "Sec-WebSocket-Key: c2hvcnQ=", VERSION),
        request(*FIELDS, KEY),
        request(*FIELDS, VERSION),
        request(*FIELDS[1:]),
        request(*FIELDS, line="GET /echo HTTP/1.0"),
        request(*FIELDS, "Content-Length: 0", line="POST /echo HTTP/1.1"),
    ],
    ids=[
        "no-key", "no-version", "version-8", "short-key", "two-keys", "two-versions", "no-host",
        "http-1.0", "post",
    ],
)
def test_closes_with_1002_what_is_no_valid_opening_handshake(server, bad):
    head, rest = within(answer_to(server, bad))
    # Too late for a status.
    assert head.startswith(b"HTTP/1.1 101 ")
    assert rest == close_frame(1002)


def test_closes_with_1009_what_the_http_server_has_dropped(server):
    fields = [f"Origin: http://{'x' * 200}.example"]
    head, rest = within(answer_to(server, request(*FIELDS, *fields)))
    assert (head[:13], rest) == (b"HTTP/1.1 101 ", close_frame(1009))


def test_leaves_to_the_http_server_what_it_refuses(server):
    async def conversation():
        for line, status in (("GET /nothing HTTP/1.1", b"404"), ("GET / HTTP/1.1", b"404")):
            async with raw(server) as (reader, writer):
                writer.write(request(*FIELDS, line=line))
                assert (await reader.readline()).split()[1] == status

    within(conversation())


def test_reads_what_came_together_with_the_request(server):
    async def conversation():
        frames = masked(0x81, b"early") + masked(0x88, b"\x03\xe8")
        head, rest = await answer_to(server, request(*FIELDS) + frames)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert rest == b"\x81\x05early" + close_frame(1000)

    within(conversation())


def test_opens_after_a_page_on_the_same_connection(server):
    async def conversation():
        async with raw(server) as (reader, writer):
            writer.write(request("Host: device.example", line="GET / HTTP/1.1"))
            await reader.readuntil(b"</title>\n")
            writer.write(request(*FIELDS) + masked(0x88, b"\x03\xe8"))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert await reader.read() == close_frame(1000)

    within(conversation())


def test_opens_for_the_request_of_a_browser(server):
    async def conversation():
        fields = [
            "Host: 127.0.0.1:8080",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Accept: */*",
            "Accept-Language: en-US,en;q=0.5",
            "Accept-Encoding: gzip, deflate, br, zstd",
            VERSION,
            "Origin: http://device.example",
            "Sec-WebSocket-Extensions: permessage-deflate",
            KEY,
            "Connection: keep-alive, Upgrade",
            "Cookie: theme=dark; session=0123456789abcdef0123456789abcdef0123456789abcdef",
            "Sec-Fetch-Dest: empty",
            "Sec-Fetch-Mode: websocket",
            "Sec-Fetch-Site: same-origin",
            "Pragma: no-cache",
            "Cache-Control: no-cache",
            "Upgrade: websocket",
        ]
        head, rest = await answer_to(server, request(*fields) + masked(0x88, b"\x03\xe8"))
        assert head.startswith(b"HTTP/1.1 101 ")
        assert rest == close_frame(1000)

    within(conversation())


def test_reads_a_request_that_drips_in(server):
    async def conversation():
        async with raw(server) as (reader, writer):
            for byte in request(*FIELDS, "Origin: http://device.example"):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.002)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.write(masked(0x81, b"dripped"))
            assert await reader.readexactly(9) == b"\x81\x07dripped"

    within(conversation())


def test_tells_those_without_a_slot_to_come_back(server):
    async def conversation():
        async with contextlib.AsyncExitStack() as stack:
            open_ = [await opened(server) for _ in range(CONNECTIONS)]
            for socket in open_:
                stack.push_async_callback(socket.close)
            # One at a time is told by the hub, some wait for that, and more find no room to wait.
            async with asyncio.TaskGroup() as group:
                answers = [group.create_task(answer_to(server, request(*FIELDS))) for _ in range(12)]
            for answer in answers:
                head, rest = answer.result()
                assert (head[:13], rest) == (b"HTTP/1.1 101 ", close_frame(1013))
            for socket in open_:
                await echo(socket, "still here")
            await open_.pop().close()
            open_.append(await opened(server))
            stack.push_async_callback(open_[-1].close)
            await pages(server)

    within(conversation())


async def vanish(server, bytes_):
    """Sends, and resets the connection."""
    async with raw(server) as (_, writer):
        writer.write(bytes_)
        await writer.drain()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, linger)
        writer.transport.abort()


def test_survives_peers_that_vanish(server):
    async def conversation():
        for _ in range(20):
            await vanish(server, request(*FIELDS))
            await vanish(server, request(*FIELDS) + masked(0x81, b"gone"))
            await vanish(server, request(*FIELDS)[:-5])
        async with await opened(server) as socket:
            await echo(socket, "well")
        await pages(server)

    within(conversation())


def test_leaks_nothing_in_a_thousand_connections(server):
    async def conversation():
        counts = [0, 0, 0, 0, 0]
        number = 0
        while sum(counts) < 1000:
            kind = number % 5
            number += 1
            if kind == 0:
                await vanish(server, request(*FIELDS))
            elif kind == 1:
                head, rest = await answer_to(server, request(*UPGRADE, VERSION))
                assert head.startswith(b"HTTP/1.1 101 ")
                # There may be no slot yet, with so many that have just vanished.
                assert rest in (close_frame(1002), close_frame(1013))
            elif kind == 2:
                async with open_socket(server, origin="http://evil.example") as socket:
                    assert (await end_of(socket))[0] in (1008, 1013)
            else:
                async with await opened(server) as socket:
                    await echo(socket, f"{number}")
            counts[kind] += 1
            if number % 100 == 0:
                await pages(server)
        assert all(count >= 200 for count in counts)
        # Everything is there as at the beginning.
        open_ = [await opened(server) for _ in range(CONNECTIONS)]
        await pages(server)
        for socket in open_:
            await echo(socket, "all of them")
            await socket.close()

    # CONFIG_WEBSOCKET_MAX_CONTEXTS is 1, and CONFIG_ZVFS_OPEN_MAX 22.
    within(conversation(), 600)


def test_stops_with_1001_and_serves_pages_meanwhile(server):
    async def conversation():
        open_ = [await opened(server) for _ in range(CONNECTIONS)]
        await open_[0].send("stop")
        assert await open_[0].recv() == "stop"
        ends = await asyncio.gather(*(end_of(socket) for socket in open_))
        assert ends == [(1001, "")] * CONNECTIONS
        await pages(server)
        # The test's hub begins anew.
        async with await opened(server) as socket:
            await echo(socket, "again")

    within(conversation())


def test_outlives_the_http_server(server):
    async def until(serves):
        while True:
            try:
                await pages(server)
                if serves:
                    return
            except OSError:
                if not serves:
                    return
            await asyncio.sleep(0.1)

    async def conversation():
        async with await opened(server) as socket:
            await echo(socket, "no pages")
            await until(False)
            await echo(socket, "still here")
            await echo(socket, "pages")
            await until(True)
            await echo(socket, "and here")
            async with await opened(server) as another:
                await echo(another, "here too")

    within(conversation())


def test_serves_on_after_all_of_this(server):
    check_pages(server)

    async def conversation():
        async with await opened(server) as socket:
            await echo(socket, "well")
        assert socket.close_code == 1000

    within(conversation())
