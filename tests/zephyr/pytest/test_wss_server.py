# SPDX-License-Identifier: Apache-2.0
"""The echo server over TLS in a running image, against clients of Python's ssl and websockets."""

import asyncio
import contextlib
import os
import re
import select
import socket
import ssl
import struct

import pytest
from certificates import built_in, make, make_ca
from twister_harness import DeviceAdapter
from websockets.asyncio.client import connect

TIMEOUT = 20

CLIENT_CERTIFICATES = "CONFIG_ECHO_SERVER_CLIENT_CERTIFICATES=y"

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: device\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(scope="module")
def port(dut: DeviceAdapter):
    lines = dut.readlines_until(regex=r"listening on port \d+", timeout=TIMEOUT)
    return int(re.search(r"listening on port (\d+)", lines[-1]).group(1))


@pytest.fixture(scope="module")
def is_mutual(dut: DeviceAdapter):
    config = dut.device_config.app_build_dir / "zephyr" / ".config"
    return CLIENT_CERTIFICATES in config.read_text().splitlines()


@pytest.fixture
def tls(dut: DeviceAdapter, is_mutual):
    """What a client needs that this server accepts."""
    folder = built_in(dut)
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if is_mutual:
        context.load_cert_chain(folder / "client.pem", folder / "client.key.pem")
    return context


def run(port, tls, conversation):
    async def main():
        async with asyncio.timeout(TIMEOUT):
            async with connect(f"wss://localhost:{port}/", ssl=tls, max_size=None) as client:
                await conversation(client)
            return client.close_code

    return asyncio.run(main())


def echoes(port, tls, message="still here"):
    async def conversation(client):
        await client.send(message)
        assert await client.recv() == message

    return run(port, tls, conversation) == 1000


def log_says(dut, words):
    dut.readlines_until(regex=f"network: .*{words}", timeout=TIMEOUT)


def frame(opcode, payload):
    if len(payload) > 125:
        length = b"\xFE" + struct.pack(">H", len(payload))
    else:
        length = bytes([0x80 | len(payload)])
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


class Stream:
    """An open WebSocket that reads no earlier than it is told to."""

    def __init__(self, port, tls):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.unsent = b""
        self.plain = socket.socket()
        # Small, so that the server soon has to wait for a client that does not read.
        self.plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.plain.connect(("127.0.0.1", port))
        self.plain.setblocking(False)
        try:
            self.retry(self.tls.do_handshake)
            self.write(REQUEST)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self.read(1)
            assert head.startswith(b"HTTP/1.1 101")
        except BaseException:
            self.plain.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.plain.close()

    def write(self, data):
        """In one record; it leaves with the next call that waits."""
        self.tls.write(data)

    def send(self, patience):
        """Sends until all has left, or nothing for `patience` seconds; returns whether all has."""
        self.unsent += self.outgoing.read()
        while self.unsent and select.select([], [self.plain], [], patience)[1]:
            self.unsent = self.unsent[self.plain.send(self.unsent):]
        return not self.unsent

    def retry(self, operation, *arguments):
        while True:
            try:
                result = operation(*arguments)
                self.unsent += self.outgoing.read()
                return result
            except ssl.SSLWantReadError:
                self.unsent += self.outgoing.read()
                writers = [self.plain] if self.unsent else []
                readable, writable, _ = select.select([self.plain], writers, [], TIMEOUT)
                assert readable or writable, "nothing happens"
                if writable:
                    self.unsent = self.unsent[self.plain.send(self.unsent):]
                if readable:
                    data = self.plain.recv(65536)
                    assert data, "the connection ended"
                    self.incoming.write(data)

    def read(self, count):
        data = b""
        while len(data) < count:
            data += self.retry(self.tls.read, count - len(data))
        return data

    def read_message(self):
        """The opcode and the payload, whose fragments are joined."""
        kind, payload = None, b""
        while True:
            head, length = self.read(2)
            if length == 126:
                [length] = struct.unpack(">H", self.read(2))
            kind = kind or head & 0x0F
            payload += self.read(length)
            if head & 0x80:
                return kind, payload


@pytest.mark.parametrize(
    "message",
    ["", "Grüße", b"x" * 126, bytes(65536), bytes(i * 7 % 251 for i in range(1 << 20))],
    ids=lambda message: f"{type(message).__name__}-{len(message)}",
)
def test_echoes_a_message(port, tls, message):
    assert echoes(port, tls, message)


def test_chooses_http_1_1_by_alpn(port, tls):
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with Stream(port, tls) as stream:
        assert stream.tls.selected_alpn_protocol() == "http/1.1"


def test_refuses_a_client_that_speaks_other_protocols_only(dut, port, tls):
    tls.set_alpn_protocols(["h2"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Stream(port, tls)
    log_says(dut, "the TLS handshake failed")


def test_goes_on_after_a_plain_client(dut, port, tls):
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as plain:
        plain.sendall(REQUEST)
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(4096):
                pass
    log_says(dut, "the TLS handshake failed")
    assert echoes(port, tls)


def test_goes_on_after_a_silent_client(dut, port, tls):
    with socket.create_connection(("127.0.0.1", port), TIMEOUT):
        assert echoes(port, tls)
    log_says(dut, "does not answer the TLS handshake")


def test_reads_records_that_came_together(port, tls):
    """A record that is decrypted in part, and those behind it, do not wait for more bytes."""
    # Two are longer than the receive buffer of the image that is tested.
    payloads = [os.urandom(1500), os.urandom(900), b"a", b"", os.urandom(300), b"end"]
    with Stream(port, tls) as stream:
        for payload in payloads:
            stream.write(frame(2, payload))
        assert [stream.read_message() for _ in payloads] == [(2, payload) for payload in payloads]


def test_frees_the_place_of_a_client_that_vanishes(port, tls):
    """No close_notify tells of it, and neither does Zephyr's poll()."""
    # Many times as many as there is room for.
    for _ in range(20):
        with Stream(port, tls) as stream:
            stream.write(frame(2, b"here"))
            assert stream.read_message() == (2, b"here")


def test_pongs_that_cannot_leave_do_not_spoil_the_stream(port, tls):
    """TLS has then taken bytes, although Zephyr says that it could not."""
    pings = [b"%d." % i + b"p" * (i % 119) for i in range(100_000)]
    with Stream(port, tls) as stream:
        for i in range(0, len(pings), 100):
            stream.write(b"".join(frame(9, ping) for ping in pings[i:i + 100]))
        stream.write(frame(1, b"after them"))
        assert not stream.send(patience=1), "the server never had to wait"
        for ping in pings:
            assert stream.read_message() == (10, ping)
        assert stream.read_message() == (1, b"after them")


def test_echoes_that_cannot_leave_do_not_spoil_the_stream(port, tls):
    message = os.urandom(60_000)
    with Stream(port, tls) as stream:
        for _ in range(200):
            stream.write(frame(2, message))
        assert not stream.send(patience=1), "the server never had to wait"
        for _ in range(200):
            assert stream.read_message() == (2, message)


def test_refuses_a_client_without_certificate(dut, port, is_mutual):
    if not is_mutual:
        pytest.skip("this image lets all clients in")
    tls = ssl.create_default_context(cafile=built_in(dut) / "ca.pem")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Stream(port, tls)
    log_says(dut, "the TLS handshake failed")


def test_refuses_a_client_whose_ca_it_does_not_know(dut, port, is_mutual, tmp_path):
    if not is_mutual:
        pytest.skip("this image lets all clients in")
    make_ca(tmp_path, "ca")
    client = make(tmp_path, "client", tmp_path / "ca")
    tls = ssl.create_default_context(cafile=built_in(dut) / "ca.pem")
    tls.load_cert_chain(f"{client}.pem", f"{client}.key.pem")
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Stream(port, tls)
    log_says(dut, "from an unknown CA")
