# SPDX-License-Identifier: Apache-2.0
"""The MQTT client in a running image, against Eclipse Mosquitto."""

import contextlib
import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest
from twister_harness import DeviceAdapter

TIMEOUT = 30

# Debian has the broker where only root's PATH leads.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
TOOLS = {name: shutil.which(name, path=PATH)
         for name in ("mosquitto", "mosquitto_sub", "mosquitto_pub")}
MISSING = [name for name, path in TOOLS.items() if not path]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"cannot run: {MISSING} not installed")


@contextlib.contextmanager
def process(*command, **options):
    """A process that is killed at the end."""
    child = subprocess.Popen(command, text=True, **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait(TIMEOUT)


class Place:
    """Where a broker listens, and its configuration."""

    def __init__(self, websocket, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.plain = free.getsockname()[1]
        self.websocket = websocket
        self.config = folder / "mosquitto.conf"
        # Without a plain listener this broker exits.
        self.config.write_text(
            f"allow_anonymous true\nlistener {self.plain} 127.0.0.1\n"
            f"listener {websocket} 127.0.0.1\nprotocol websockets\n"
        )

    @contextlib.contextmanager
    def broker(self):
        with process(TOOLS["mosquitto"], "-c", str(self.config)):
            end = time.monotonic() + TIMEOUT
            for port in (self.plain, self.websocket):
                while True:
                    with contextlib.suppress(ConnectionRefusedError):
                        socket.create_connection(("127.0.0.1", port)).close()
                        break
                    assert time.monotonic() < end, "the broker does not listen"
                    time.sleep(0.02)
            yield

    def options(self):
        return ["-V", "5", "-h", "127.0.0.1", "-p", str(self.plain), "-q", "1"]

    def command(self, text):
        subprocess.run(
            [TOOLS["mosquitto_pub"], *self.options(), "-t", "zephyr-websocket/command", "-m", text],
            check=True, timeout=TIMEOUT,
        )

    @contextlib.contextmanager
    def watcher(self):
        """A function that waits for a line of `TOPIC PAYLOAD`."""
        command = [TOOLS["mosquitto_sub"], *self.options(), "-v", "-t", "zephyr-websocket/#"]
        with process(*command, stdout=subprocess.PIPE) as child:
            lines = queue.Queue()
            reader = threading.Thread(
                target=lambda: [lines.put(line) for line in child.stdout], daemon=True
            )
            reader.start()

            def wait_for(pattern):
                end = time.monotonic() + TIMEOUT
                while not re.search(pattern, line := lines.get(timeout=end - time.monotonic())):
                    pass
                return line

            yield wait_for


@pytest.fixture
def place(unlaunched_dut: DeviceAdapter, tmp_path):
    """At the port that the test scenario has built into the image."""
    config = unlaunched_dut.device_config.app_build_dir / "zephyr" / ".config"
    url = r'CONFIG_MQTT_CLIENT_URL="ws://[^/]*:(\d+)/'
    # The broker may run as another user.
    tmp_path.chmod(0o755)
    return Place(int(re.search(url, config.read_text()).group(1)), tmp_path)


def test_reports_obeys_and_outlives_its_broker(unlaunched_dut: DeviceAdapter, place):
    device = unlaunched_dut
    telemetry = r'telemetry \{"uptime_ms":\d+,"temperature":2\d\.\d,"led":%s\}'
    device.launch()
    try:
        # Nobody is there at first.
        device.readlines_until(regex="nobody listens.*connecting again", timeout=TIMEOUT)
        with place.broker(), place.watcher() as wait_for:
            wait_for("status online")
            wait_for(telemetry % "false")
            place.command("led on")
            wait_for(telemetry % "true")
            place.command("dance")
            device.readlines_until(regex="a command of 5 bytes is not", timeout=TIMEOUT)
            place.command("interval 100")
            device.readlines_until(regex="a report every 100 ms", timeout=TIMEOUT)
        device.readlines_until(regex="connecting again", timeout=TIMEOUT)
        with place.broker(), place.watcher() as wait_for:
            wait_for("status online")
            wait_for(telemetry % "true")
            place.command("led off")
            wait_for(telemetry % "false")
            device.close()
            wait_for("status offline")
    finally:
        device.close()
