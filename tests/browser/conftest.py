# SPDX-License-Identifier: Apache-2.0
"""The device, started and stopped for each test, and a browser. scripts/browser.sh calls this."""

import pathlib
import shlex
import signal
import socket
import subprocess
import time

import pytest
from playwright.sync_api import expect, sync_playwright

# For whatever has to happen; nothing is measured by it.
TIMEOUT = 30

# Root may not use Chromium's sandbox, and nothing but the device is to be reached.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]


def pytest_addoption(parser):
    parser.addoption("--device", required=True, help="command line that runs the device")
    parser.addoption("--port", required=True, type=int, help="where it then listens")
    parser.addoption("--chromium", required=True, help="the browser's program")
    parser.addoption("--screenshots", type=pathlib.Path, help="folder to write them to")


def pytest_unconfigure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        count = {kind: len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped")}
        print(f"{count['passed']} passed, {count['failed'] + count['error']} failed, {count['skipped']} skipped")


class Device:
    def __init__(self, command, port, log):
        self.command = shlex.split(command)
        self.port = port
        self.url = f"http://127.0.0.1:{port}/"
        self.log = log
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self.wait_for(self.is_listening, "does not listen")

    def is_listening(self):
        try:
            # QEMU accepts before the board in it does, so the answer counts.
            with socket.create_connection(("127.0.0.1", self.port), 2) as probe:
                probe.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return probe.recv(1) != b""
        except OSError:
            return False

    def wait_for(self, condition, complaint):
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert self.process.poll() is None, f"has ended: {self.lines()[-5:]}"
            assert time.monotonic() < end, f"{complaint}: {self.lines()[-5:]}"
            time.sleep(0.05)

    def wait_for_log(self, text):
        self.wait_for(lambda: any(text in line for line in self.lines()), f"does not log {text!r}")

    def lines(self):
        return self.log.read_text(errors="replace").splitlines()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def freeze(self):
        """Nothing ends the connections: as if its power or network were gone."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def device(request, tmp_path):
    option = request.config.getoption
    device = Device(option("--device"), option("--port"), tmp_path / "device.log")
    try:
        device.start()
        yield device
        assert device.process.poll() is None, f"has ended: {device.lines()[-5:]}"
    finally:
        device.stop()


@pytest.fixture(scope="session")
def browser(request):
    expect.set_options(timeout=TIMEOUT * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=request.config.getoption("--chromium"), args=ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, device):
    """Opens the device's page in a window of its own, and returns it when it is connected."""
    contexts = []

    def open_page(width=390, height=844, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.errors, page.requests, page.attempts, page.received = [], [], [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("websocket", lambda websocket: listen(page, websocket))
        page.goto(device.url)
        expect(page.get_by_role("status")).to_have_text("connected")
        return page

    def listen(page, websocket):
        page.attempts.append((time.monotonic(), websocket.url))
        websocket.on("framereceived", lambda message: page.received.append(message))

    yield open_page
    for context in contexts:
        context.close()
