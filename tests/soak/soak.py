# SPDX-License-Identifier: Apache-2.0
"""Loads an echo server for a long time, and compares what it uses with what it used at first.

Honest peers send messages of mixed sizes, several at a time, and check that each comes back whole
and in order. Hostile ones do what they can to occupy or to confuse the server. More of both try to
connect than it has room for.
"""

import argparse
import asyncio
import collections
import json
import logging
import os
import random
import sys
import time
import urllib.error
import urllib.request

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

KEY = bytes(range(1, 5))
HEAD = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# For one answer of a server that serves others as well, on a busy machine.
PATIENCE = 60


class Soak:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.counts = collections.Counter()
        self.faults = []
        self.is_over = asyncio.Event()

    def fault(self, text):
        self.faults.append(text)
        print(f"soak: {text}", flush=True)

    # Honest peers.

    def message(self):
        limit = self.options.longest
        size = self.random.choice([0, 1, 125, 126, 500, 1000, 4000, 65535, 65536, 200_000])
        size = self.random.randint(0, min(size, limit))
        data = self.random.randbytes(size)
        return data.hex()[:size] if self.random.random() < 0.5 else data

    async def honest(self):
        while not self.is_over.is_set():
            try:
                await self.converse()
            except InvalidHandshake as error:
                # 503: there is no room now.
                status = getattr(getattr(error, "response", None), "status_code", None)
                if status != 503:
                    self.fault(f"an honest peer was refused: {error!r}")
                self.counts["told to come back"] += 1
                await asyncio.sleep(0.2 + self.random.random() / 2)
            except (ConnectionClosed, OSError, TimeoutError, EOFError) as error:
                self.fault(f"an honest peer lost its connection: {error!r}")
                await asyncio.sleep(0.2)

    async def converse(self):
        address = f"ws://127.0.0.1:{self.options.port}/"
        options = dict(max_size=None, compression=None, ping_timeout=None)
        async with connect(address, open_timeout=PATIENCE, close_timeout=PATIENCE, **options) as peer:
            self.counts["connections"] += 1
            for _ in range(self.random.randint(1, 40)):
                if self.is_over.is_set():
                    break
                flight = [self.message() for _ in range(self.random.randint(1, 8))]

                async def send():
                    for message in flight:
                        if message and self.random.random() < 0.2:
                            cut = self.random.randint(0, len(message))
                            await peer.send([message[:cut], message[cut:]])
                        else:
                            await peer.send(message)

                sending = asyncio.create_task(send())
                try:
                    for number, message in enumerate(flight):
                        echo = await asyncio.wait_for(peer.recv(), PATIENCE)
                        if echo != message:
                            self.fault(f"message {number} came back changed or out of order")
                            return
                        self.counts["messages"] += 1
                        self.counts["bytes"] += len(message)
                finally:
                    await sending
                if self.random.random() < 0.1:
                    await asyncio.wait_for(await peer.ping(), PATIENCE)

    # Hostile peers.

    async def hostile(self):
        tricks = [
            self.drip, self.garbage, self.reset, self.deaf, self.silent, self.flood, self.page,
            self.no_close, self.half_frame,
        ]
        while not self.is_over.is_set():
            trick = self.random.choice(tricks)
            try:
                address = "127.0.0.1", self.options.port
                reader, writer = await asyncio.open_connection(*address)
                try:
                    await asyncio.wait_for(trick(reader, writer), 20)
                finally:
                    if self.random.random() < 0.5:
                        writer.transport.abort()
                    writer.close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                pass
            self.counts["hostile"] += 1
            await asyncio.sleep(self.random.random() / 2)

    async def opened(self, reader, writer):
        writer.write(HEAD)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise OSError("refused")

    @staticmethod
    def frame(first, payload):
        masked = bytes(byte ^ KEY[i % 4] for i, byte in enumerate(payload))
        size = len(payload)
        head = bytes([first, 0x80 | size]) if size < 126 else (
            bytes([first, 0xFE]) + size.to_bytes(2, "big"))
        return head + KEY + masked

    async def drip(self, reader, writer):
        for byte in HEAD[:-2]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if reader.at_eof():
                return

    async def garbage(self, reader, writer):
        if self.random.random() < 0.5:
            await self.opened(reader, writer)
        writer.write(self.random.randbytes(self.random.randint(1, 3000)))
        await reader.read()

    async def reset(self, reader, writer):
        await self.opened(reader, writer)
        writer.write(self.frame(0x82, bytes(300))[: self.random.randint(1, 300)])
        writer.transport.abort()

    async def deaf(self, reader, writer):
        await self.opened(reader, writer)
        writer.transport.pause_reading()
        for _ in range(200):
            writer.write(self.frame(0x82, bytes(30_000)))
            await asyncio.wait_for(writer.drain(), 3)

    async def silent(self, reader, writer):
        if self.random.random() < 0.5:
            await self.opened(reader, writer)
        await reader.read()

    async def flood(self, reader, writer):
        await self.opened(reader, writer)
        for _ in range(500):
            writer.write(self.frame(0x89, bytes(125)))
            await writer.drain()
        await reader.readexactly(500 * 127)

    async def page(self, reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        page = await reader.read()
        if page and not page.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")):
            self.fault(f"the page is answered with {page[:40]!r}")

    async def no_close(self, reader, writer):
        await self.opened(reader, writer)
        writer.write(self.frame(0x81, b"\xff"))
        await asyncio.sleep(4)

    async def half_frame(self, reader, writer):
        await self.opened(reader, writer)
        writer.write(bytes([0x82, 0xFF]) + (1 << 40).to_bytes(8, "big") + KEY + bytes(1000))
        await reader.read()

    # What is in use.

    def used(self):
        """What the server uses, once nobody uses it."""
        used = {}
        if self.options.pid:
            used["descriptors"] = len(os.listdir(f"/proc/{self.options.pid}/fd"))
            with open(f"/proc/{self.options.pid}/status") as status:
                fields = dict(line.split(":", 1) for line in status)
            used["resident KiB"] = int(fields["VmRSS"].split()[0])
        if self.options.status:
            address = f"http://127.0.0.1:{self.options.port}/status"
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                report = json.load(answer)
            report.pop("uptime_ms")
            used |= {name: count for name, (count, total) in report.items() if total}
        return used

    async def quiet(self):
        """`used`, when it no longer changes: connections that were closed last for a while."""
        before = None
        for _ in range(60):
            await asyncio.sleep(1)
            try:
                now = await asyncio.to_thread(self.used)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
                continue
            if now == before:
                return now
            before = now
        return before

    async def load(self, seconds):
        self.is_over.clear()
        peers = [asyncio.create_task(self.honest()) for _ in range(self.options.honest)]
        peers += [asyncio.create_task(self.hostile()) for _ in range(self.options.hostile)]
        await asyncio.sleep(seconds)
        self.is_over.set()
        results = await asyncio.wait_for(asyncio.gather(*peers, return_exceptions=True), 3 * PATIENCE)
        for result in results:
            if isinstance(result, BaseException):
                self.fault(f"a peer ended with {result!r}")

    async def run(self):
        seconds = self.options.minutes * 60
        await self.load(max(10, seconds * 0.2))
        first = await self.quiet()
        print(f"soak: after warming up: {first}", flush=True)
        self.counts.clear()
        started = time.monotonic()
        await self.load(seconds * 0.8)
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        print(f"soak: {time.monotonic() - started:.0f} s: {counts}", flush=True)
        last = await self.quiet()
        print(f"soak: at the end: {last}", flush=True)
        for name, count in first.items():
            # Pages that the allocator touches for the first time; a leak grows with the time.
            tolerance = 256 if name == "resident KiB" else 0
            if last.get(name, 0) > count + tolerance:
                self.fault(f"{name}: {last.get(name)} at the end, {count} after warming up")
        if not self.counts["messages"] or not self.counts["hostile"]:
            self.fault("nothing was tested")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--honest", type=int, default=8)
    parser.add_argument("--hostile", type=int, default=4)
    parser.add_argument("--longest", type=int, default=200_000)
    parser.add_argument("--pid", type=int, help="of the server, for its descriptors and memory")
    parser.add_argument("--status", action="store_true", help="the server has /status")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    # It warns of peers that are gone, which is what the hostile ones are for.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    print(f"soak: seed {options.seed}", flush=True)

    async def run():
        soak = Soak(options)
        await soak.run()
        return soak.faults

    sys.exit(1 if asyncio.run(run()) else 0)


main()
