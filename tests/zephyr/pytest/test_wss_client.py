# SPDX-License-Identifier: Apache-2.0
"""The client over TLS in a running image, against servers of Python's ssl and websockets."""

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import time

import pytest
from certificates import built_in, make, make_ca
from twister_harness import DeviceAdapter
from websockets.asyncio.server import serve
from websockets.utils import accept_key

TIMEOUT = 30


@pytest.fixture
def port(unlaunched_dut: DeviceAdapter):
    """The port that the test scenario has built into the image."""
    config = unlaunched_dut.device_config.app_build_dir / "zephyr" / ".config"
    url = r'CONFIG_WSS_CLIENT_URL="wss://[^/]*:(\d+)/'
    return int(re.search(url, config.read_text()).group(1))


def context(certificate, client_ca=None):
    """A server's, with a path without its suffix, and the CA of clients for mutual TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(f"{certificate}.pem", f"{certificate}.key.pem")
    tls.set_alpn_protocols(["h2", "http/1.1"])
    if client_ca:
        tls.load_verify_locations(f"{client_ca}.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


class Server:
    """Echoes in a thread until it is stopped, and keeps what it has seen of each client."""

    def __init__(self, port, tls):
        self.port = port
        self.tls = tls
        self.names = []
        self.seen = []
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.main()), daemon=True)
        tls.sni_callback = lambda _socket, name, _context: self.names.append(name)

    async def main(self):
        self.loop = asyncio.get_running_loop()
        self.stopped = asyncio.Event()

        async def echo(client):
            tls = client.transport.get_extra_info("ssl_object")
            self.seen.append((tls.selected_alpn_protocol(), tls.getpeercert()))
            async for message in client:
                await client.send(message)

        async with serve(echo, "127.0.0.1", self.port, ssl=self.tls):
            self.ready.set()
            await self.stopped.wait()

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(TIMEOUT)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(TIMEOUT)


def outcome(device):
    device.launch()
    try:
        return device.readlines_until(regex=r"(ERR|INF|ERROR|INFO):rustapp: .*", timeout=TIMEOUT)[-1]
    finally:
        device.close()


def test_echoes_and_tells_its_host_name_and_alpn(unlaunched_dut: DeviceAdapter, port):
    with Server(port, context(built_in(unlaunched_dut) / "server")) as server:
        assert "4 messages echoed" in outcome(unlaunched_dut)
    assert server.names == ["localhost"]
    assert [alpn for alpn, _ in server.seen] == ["http/1.1"]


def test_shows_its_certificate_to_a_server_that_asks(unlaunched_dut: DeviceAdapter, port):
    folder = built_in(unlaunched_dut)
    with Server(port, context(folder / "server", client_ca=folder / "ca")) as server:
        assert "4 messages echoed" in outcome(unlaunched_dut)
    [(_, certificate)] = server.seen
    assert certificate["subject"] == ((("commonName", "sample client"),),)


def test_says_that_the_handshake_failed_if_its_certificate_is_refused(
    unlaunched_dut: DeviceAdapter, port, tmp_path
):
    make_ca(tmp_path, "other")
    tls = context(built_in(unlaunched_dut) / "server", client_ca=tmp_path / "other")
    # In TLS 1.3 the client would learn it later.
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with Server(port, tls) as server:
        assert "the TLS handshake failed" in outcome(unlaunched_dut)
    assert server.seen == []


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"subject_alt_name": "DNS:other.example"}, "for another host name"),
        ({"start": "20200101000000Z", "end": "20200201000000Z"}, "has expired"),
        ({"start": "20900101000000Z", "end": "20900201000000Z"}, "not valid yet"),
    ],
    ids=["host-name", "expired", "future"],
)
def test_refuses_a_certificate_and_says_why(
    unlaunched_dut: DeviceAdapter, port, tmp_path, certificate, words
):
    server = make(tmp_path, "server", built_in(unlaunched_dut) / "ca", **certificate)
    with Server(port, context(server)) as server:
        assert words in outcome(unlaunched_dut)
    assert server.seen == []


def test_refuses_the_certificate_of_an_unknown_ca(unlaunched_dut: DeviceAdapter, port, tmp_path):
    make_ca(tmp_path, "ca")
    # Its being expired and for another name is no reason to trust it more.
    server = make(tmp_path, "server", tmp_path / "ca", "DNS:other.example", end="20200201000000Z",
                  start="20200101000000Z")
    with Server(port, context(server)) as server:
        assert "from an unknown CA" in outcome(unlaunched_dut)
    assert server.seen == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the TLS handshake failed"),
        (b"", "does not answer the TLS handshake"),
    ],
    ids=["plain", "silent"],
)
def test_says_that_the_server_does_not_speak_tls(
    unlaunched_dut: DeviceAdapter, port, answer, words
):
    with socket.create_server(("127.0.0.1", port)) as listener:
        def serve_one():
            client, _ = listener.accept()
            with client:
                client.sendall(answer)
                with contextlib.suppress(ConnectionResetError):
                    while client.recv(4096):
                        pass

        thread = threading.Thread(target=serve_one, daemon=True)
        thread.start()
        assert words in outcome(unlaunched_dut)
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def test_says_that_the_server_vanished(unlaunched_dut: DeviceAdapter, port):
    """Without a Close frame or close_notify, while the client waits for an echo."""
    tls = context(built_in(unlaunched_dut) / "server")
    with socket.create_server(("127.0.0.1", port)) as listener:
        def serve_one():
            plain, _ = listener.accept()
            with plain, tls.wrap_socket(plain, server_side=True) as client:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client.recv(4096)
                [key] = re.search(rb"Sec-WebSocket-Key: (\S+)", head).groups()
                client.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + accept_key(key.decode()).encode() + b"\r\n\r\n"
                )
                # Its first message: from then on it waits.
                client.recv(4096)
                time.sleep(0.5)

        thread = threading.Thread(target=serve_one, daemon=True)
        thread.start()
        assert "the peer disconnected" in outcome(unlaunched_dut)
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def test_says_that_nobody_listens(unlaunched_dut: DeviceAdapter):
    assert "nobody listens" in outcome(unlaunched_dut)
