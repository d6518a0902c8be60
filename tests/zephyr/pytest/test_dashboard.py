# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a running image: its page, and its messages against Python's websockets. What the
page does with them is tested by scripts/browser.sh."""

import asyncio
import gzip
import http.client
import json
import re

import pytest
from twister_harness import DeviceAdapter
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

TIMEOUT = 20


@pytest.fixture(scope="module")
def address(dut: DeviceAdapter):
    lines = dut.readlines_until(regex=r"listening on port \d+", timeout=TIMEOUT)
    port = re.search(r"listening on port (\d+)", lines[-1]).group(1)
    return f"127.0.0.1:{port}"


def run(conversation):
    async def main():
        async with asyncio.timeout(TIMEOUT):
            return await conversation()

    return asyncio.run(main())


def open_socket(address, **options):
    return connect(f"ws://{address}/ws", **options)


async def receive(socket, kind, **wanted):
    """The next message of a kind, with what is wanted in it."""
    while True:
        message = json.loads(await socket.recv())
        if message.pop("type") == kind and wanted.items() <= message.items():
            return message


def request(address, method="GET", path="/"):
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    connection.request(method, path)
    response = connection.getresponse()
    try:
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_page_is_compressed_and_needs_nothing_else(address):
    status, headers, body = request(address)
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Content-Encoding"] == "gzip"
    assert len(body) == int(headers["Content-Length"]) < 6144
    page = gzip.decompress(body).decode()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</script>")
    assert "default-src 'none'" in page
    # Nothing is named that would be loaded; the icon is in the page.
    loaded = re.findall(r"""(?:src|href)=["']([^"']{0,5})""", page)
    assert loaded == ["data:"]
    assert "url(" not in page and "@import" not in page


def test_there_is_nothing_else(address):
    assert request(address, path="/nothing")[0] == 404


def test_first_tells_about_itself(address):
    async def conversation():
        async with open_socket(address) as socket:
            first, second = [json.loads(await socket.recv()) for _ in range(2)]
        assert first["type"] == "device" and first["name"]
        assert first["intervals_ms"] == [50, 10000]
        assert second == {"type": "state", "led": False, "interval_ms": 250}

    run(conversation)


def test_sends_samples(address):
    async def conversation():
        async with open_socket(address) as socket:
            samples = [await receive(socket, "sample") for _ in range(5)]
        uptimes = [sample["uptime_ms"] for sample in samples]
        assert uptimes == sorted(set(uptimes))
        assert len({sample["value"] for sample in samples}) > 1
        for sample in samples:
            assert 15 < sample["value"] < 30
            assert sample["connections"][0] == 1
            assert {"rx_buffers", "tx_buffers", "sockets"} <= sample["in_use"].keys()
            assert all(0 <= used <= total for used, total in sample["in_use"].values())

    run(conversation)


def test_switches_the_led_for_all(address, dut: DeviceAdapter):
    async def conversation():
        async with open_socket(address) as one, open_socket(address) as other:
            for switch, on in (("led on", True), ("led off", False)):
                await one.send(switch)
                for socket in (one, other):
                    await receive(socket, "state", led=on)

    run(conversation)
    for switched in ("LED on", "LED off"):
        dut.readlines_until(regex=switched, timeout=TIMEOUT)


def test_led_warms_the_sensor(address):
    async def conversation():
        async with open_socket(address) as socket:
            before = (await receive(socket, "sample"))["value"]
            await socket.send("led on")
            while (await receive(socket, "sample"))["value"] < before + 0.5:
                pass
            await socket.send("led off")

    run(conversation)


def test_sets_the_interval_within_its_range(address):
    async def conversation():
        async with open_socket(address) as socket:
            for ms in (50, 10000, 250):
                await socket.send(f"interval {ms}")
                await receive(socket, "state", interval_ms=ms)

    run(conversation)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("interval 49", "interval takes 50 to 10000, in milliseconds"),
        ("interval 10001", "interval takes 50 to 10000, in milliseconds"),
        ("interval 99999999999999999999", "interval takes 50 to 10000, in milliseconds"),
        ("interval", "commands are: led on, led off, interval MS"),
        ("led", "commands are: led on, led off, interval MS"),
        ("led ON", "led takes on or off"),
        ("", "commands are: led on, led off, interval MS"),
        ('"\\\n', "commands are: led on, led off, interval MS"),
        (b"led on", "a command is text"),
    ],
)
def test_answers_what_is_no_command(address, command, error):
    async def conversation():
        async with open_socket(address) as socket:
            await receive(socket, "state")
            await socket.send(command)
            assert await receive(socket, "error") == {"message": error}
            # It is still connected, and nothing was switched.
            await socket.send("led off")
            await receive(socket, "state", led=False, interval_ms=250)

    run(conversation)


def test_message_that_is_too_long_is_refused(address):
    async def conversation():
        async with open_socket(address) as socket:
            await socket.send("led " + "n" * 5000)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await socket.recv()
            assert closed.value.rcvd.code == 1009

    run(conversation)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1", "null", "https://127.0.0.1:1", "ftp://{address}"]
)
def test_page_of_another_origin_hears_nothing(address, origin):
    async def conversation():
        socket = await open_socket(address, origin=origin.format(address=address))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd.code == 1008

    run(conversation)


def test_page_of_its_own_origin_is_served(address):
    async def conversation():
        async with open_socket(address, origin=f"http://{address}") as socket:
            await receive(socket, "device")

    run(conversation)


def test_closed_connections_make_room(address):
    async def conversation():
        for _ in range(12):
            async with open_socket(address) as socket:
                await receive(socket, "sample")

    run(conversation)
