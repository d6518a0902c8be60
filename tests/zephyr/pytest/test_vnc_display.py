# SPDX-License-Identifier: Apache-2.0
"""The VNC display in a running image, against a small viewer of our own."""

import asyncio
import re
import urllib.error
import urllib.request

import pytest
from rfb import HEXTILE, RAW, opened, viewer
from twister_harness import DeviceAdapter
from websockets.exceptions import ConnectionClosed, InvalidStatus

TIMEOUT = 30

# Where the parts of the picture are, and what they have.
CLOCK = (14, 48, 80, 24)
BUTTON = (14, 98, 96, 44)
BACKGROUND = (0x10, 0x18, 0x24)
BAR = (0x1C, 0x2B, 0x41)
BUTTON_UP = (0x2D, 0x7D, 0xD2)
BUTTON_DOWN = (0x17, 0x4A, 0x80)
GREEN = (0x2E, 0xCC, 0x71)
FIRST_MARK = (142, 124)
ON_BUTTON = (20, 120)


@pytest.fixture(scope="module")
def address(dut: DeviceAdapter):
    lines = dut.readlines_until(regex=r"listening on port \d+", timeout=TIMEOUT)
    port = re.search(r"listening on port (\d+)", lines[-1]).group(1)
    return f"127.0.0.1:{port}"


def run(test):
    async def main():
        async with asyncio.timeout(TIMEOUT):
            await test()

    asyncio.run(main())


def is_in(rect, area):
    (x, y, width, height), (left, top, wide, high) = rect, area
    return left <= x and top <= y and x + width <= left + wide and y + height <= top + high


async def until(display, condition):
    """Takes updates until what is shown satisfies `condition`, and returns their rectangles."""
    rects = []
    while not condition():
        rects += await display.refresh()
    return rects


@pytest.mark.parametrize("encodings", [(), (RAW,), (HEXTILE, RAW)])
def test_shows_the_whole_picture(address, encodings):
    async def test():
        async with viewer(address) as display:
            assert (display.width, display.height) == (240, 160)
            assert display.name == "zephyr-websocket display"
            await display.set_encodings(*encodings)
            assert await display.refresh(incremental=0) == [(0, 0, 240, 160)]
            assert display.pixel(2, 2) == BAR
            assert display.pixel(2, 155) == BACKGROUND
            assert display.pixel(*ON_BUTTON) == BUTTON_UP

    run(test)


def test_sends_what_has_changed_and_nothing_else(address):
    async def test():
        async with viewer(address) as display:
            await display.refresh(incremental=0)
            for _ in range(3):
                before = display.received
                rects = await display.refresh()
                assert rects and all(is_in(rect, CLOCK) for rect in rects)
                size = sum(width * height for _, _, width, height in rects)
                assert display.received - before == 4 + 12 * len(rects) + 4 * size

    run(test)


def test_a_click_starts_and_stops_the_motor(address, dut: DeviceAdapter):
    async def test():
        async with viewer(address) as one, viewer(address) as other:
            for display in one, other:
                await display.set_encodings(HEXTILE)
                await display.refresh(incremental=0)
            for state in "on", "off":
                await one.point(*ON_BUTTON, buttons=1)
                await until(other, lambda: other.pixel(*ON_BUTTON) == BUTTON_DOWN)
                await one.point(*ON_BUTTON)
                await until(other, lambda: other.pixel(*ON_BUTTON) == BUTTON_UP)
                is_lit = lambda: (other.pixel(*FIRST_MARK) == GREEN) == (state == "on")
                await until(other, is_lit)
                await asyncio.to_thread(
                    dut.readlines_until, regex=f"motor {state}$", timeout=TIMEOUT
                )

    run(test)


def test_a_viewer_that_does_not_read_delays_nobody(address):
    async def test():
        async with await opened(address, max_queue=1) as slow:
            assert await slow.recv() == b"RFB 003.008\n"
            await slow.send(b"RFB 003.008\n\x01\x01")
            slow.transport.pause_reading()
            # Whole pictures in plenty.
            await slow.send(bytes([3, 0, 0, 0, 0, 0, 0, 240, 0, 160]) * 50)
            async with viewer(address) as display:
                await display.refresh(incremental=0)
                for _ in range(2):
                    assert await display.refresh()
            slow.transport.abort()

    run(test)


def test_serves_one_viewer_right_after_the_other(address):
    async def test():
        for _ in range(10):
            async with viewer(address) as display:
                await display.set_encodings(HEXTILE)
                await display.refresh(incremental=0)
                assert display.pixel(*ON_BUTTON) == BUTTON_UP

    run(test)


@pytest.mark.parametrize(
    ("bytes_sent", "reason"),
    [
        (b"GET / HTTP/1.1", "RFB: not a version"),
        (b"RFB 003.008\n\x10", "RFB: no security type 16"),
        (b"RFB 003.008\n\x01\x01\xf8", "RFB: unknown message type 248"),
    ],
)
def test_says_what_is_wrong(address, bytes_sent, reason):
    async def test():
        async with await opened(address) as socket:
            await socket.send(bytes_sent)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await socket.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, reason)

    run(test)


@pytest.mark.parametrize(("offered", "chosen"), [(None, None), (["base64", "binary"], "binary")])
def test_takes_the_subprotocol_binary(address, offered, chosen):
    async def test():
        async with viewer(address, subprotocols=offered) as display:
            assert display.socket.subprotocol == chosen
            await display.refresh()

    run(test)


def test_refuses_pages_of_another_origin(address):
    async def test():
        with pytest.raises(InvalidStatus) as refused:
            async with viewer(address, origin="http://evil.example"):
                pass
        assert refused.value.response.status_code == 403
        async with viewer(address, origin="http://viewer.example") as display:
            await display.refresh()

    run(test)


def test_tells_who_comes_without_a_viewer_how_to_use_one(address):
    with urllib.request.urlopen(f"http://{address}/", timeout=TIMEOUT) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        assert b"noVNC" in response.read()
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(f"http://{address}/vnc.html", timeout=TIMEOUT)
    assert missing.value.code == 404
