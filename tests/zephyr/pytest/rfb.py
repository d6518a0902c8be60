# SPDX-License-Identifier: Apache-2.0
"""A small viewer for RFB (RFC 6143) over WebSocket, for tests."""

import asyncio
import struct
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

RAW = 0
HEXTILE = 5

# 32 bits, the lowest byte first: red, green, blue, and one that is not used.
RGBX = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)


class Viewer:
    """What a viewer knows after its handshake; `received` counts RFB's bytes."""

    def __init__(self, socket):
        self.socket = socket
        self.arrived = bytearray()
        self.received = 0

    async def read(self, count):
        while len(self.arrived) < count:
            message = await self.socket.recv()
            assert isinstance(message, bytes)
            self.arrived += message
        taken = bytes(self.arrived[:count])
        del self.arrived[:count]
        self.received += count
        return taken

    async def unpack(self, layout):
        return struct.unpack(">" + layout, await self.read(struct.calcsize(">" + layout)))

    async def handshake(self):
        assert await self.read(12) == b"RFB 003.008\n"
        await self.socket.send(b"RFB 003.008\n")
        assert await self.read(2) == b"\x01\x01"
        await self.socket.send(b"\x01")
        assert await self.read(4) == bytes(4)
        await self.socket.send(b"\x01")
        self.width, self.height = await self.unpack("HH")
        self.server_format = await self.read(16)
        (length,) = await self.unpack("I")
        self.name = (await self.read(length)).decode()
        self.pixels = [None] * (self.width * self.height)
        await self.socket.send(b"\0\0\0\0" + RGBX)

    async def set_encodings(self, *encodings):
        header = struct.pack(">BxH", 2, len(encodings))
        await self.socket.send(header + struct.pack(f">{len(encodings)}i", *encodings))

    async def request(self, incremental, x=0, y=0, width=None, height=None):
        width, height = width or self.width, height or self.height
        await self.socket.send(struct.pack(">BBHHHH", 3, incremental, x, y, width, height))

    async def point(self, x, y, buttons=0):
        await self.socket.send(struct.pack(">BBHH", 5, buttons, x, y))

    async def update(self):
        """Reads one update into the picture, and returns its rectangles."""
        kind, count = await self.unpack("BxH")
        assert kind == 0
        rects = []
        for _ in range(count):
            x, y, width, height, encoding = await self.unpack("HHHHi")
            assert width and height and x + width <= self.width and y + height <= self.height
            decode = {RAW: self.raw, HEXTILE: self.hextile}[encoding]
            await decode(x, y, width, height)
            rects.append((x, y, width, height))
        return rects

    async def refresh(self, incremental=1):
        await self.request(incremental)
        return await self.update()

    def pixel(self, x, y):
        return self.pixels[y * self.width + x]

    def fill(self, x, y, width, height, colour):
        for row in range(y, y + height):
            start = row * self.width + x
            self.pixels[start : start + width] = [colour] * width

    async def raw(self, x, y, width, height):
        data = await self.read(4 * width * height)
        colours = [tuple(data[i : i + 3]) for i in range(0, len(data), 4)]
        for row in range(height):
            start = (y + row) * self.width + x
            self.pixels[start : start + width] = colours[row * width : (row + 1) * width]

    async def colour(self):
        return tuple((await self.read(4))[:3])

    async def hextile(self, x, y, width, height):
        background = foreground = None
        for top in range(y, y + height, 16):
            for left in range(x, x + width, 16):
                size = min(16, x + width - left), min(16, y + height - top)
                (flags,) = await self.read(1)
                if flags & 1:
                    await self.raw(left, top, *size)
                    continue
                if flags & 2:
                    background = await self.colour()
                if flags & 4:
                    foreground = await self.colour()
                self.fill(left, top, *size, background)
                if not flags & 8:
                    continue
                (count,) = await self.read(1)
                for _ in range(count):
                    colour = await self.colour() if flags & 16 else foreground
                    place, extent = await self.read(2)
                    dx, dy = place >> 4, place & 15
                    subrect = (extent >> 4) + 1, (extent & 15) + 1
                    assert dx + subrect[0] <= size[0] and dy + subrect[1] <= size[1]
                    self.fill(left + dx, top + dy, *subrect, colour)


async def opened(address, **options):
    """A WebSocket, once there is room for it: earlier ones may be closing yet."""
    while True:
        try:
            return await connect(f"ws://{address}/", max_size=None, **options)
        except InvalidStatus as refused:
            if refused.response.status_code != 503:
                raise
            await asyncio.sleep(0.1)


@asynccontextmanager
async def viewer(address, **options):
    async with await opened(address, **options) as socket:
        new = Viewer(socket)
        await new.handshake()
        yield new
