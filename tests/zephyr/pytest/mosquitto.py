# SPDX-License-Identifier: Apache-2.0
"""Eclipse Mosquitto, with a listener for MQTT and one for MQTT over WebSocket."""

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
from certificates import built_in

TIMEOUT = 30

# Debian has the broker where only root's PATH leads.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
NAMES = ("mosquitto", "mosquitto_passwd", "mosquitto_pub", "mosquitto_sub")
TOOLS = {name: shutil.which(name, path=PATH) for name in NAMES}
MISSING = [name for name in NAMES if not TOOLS[name]]

needs_mosquitto = pytest.mark.skipif(
    bool(MISSING), reason=f"cannot run: not installed: {', '.join(MISSING)}"
)


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
    """Where a broker listens, as the image of `device` has been built for it."""

    def __init__(self, device, folder):
        config = (device.device_config.app_build_dir / "zephyr" / ".config").read_text()
        url = re.search(r'^CONFIG_MQTT_CLIENT_URL="(wss?)://[^/]*:(\d+)/', config, re.M)
        self.is_secure, self.websocket = url[1] == "wss", int(url[2])
        [self.user_name, self.password] = (
            re.search(f'^CONFIG_MQTT_CLIENT_{name}="(.*)"$', config, re.M)[1]
            for name in ("USER_NAME", "PASSWORD")
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.plain = free.getsockname()[1]
        self.folder = folder
        self.certificates = built_in(device)
        self.access = "allow_anonymous true"
        if self.user_name:
            file = folder / "passwords"
            subprocess.run(
                [TOOLS["mosquitto_passwd"], "-b", "-c", file, self.user_name, self.password],
                check=True, timeout=TIMEOUT,
            )
            self.access = f"allow_anonymous false\npassword_file {file}"

    @contextlib.contextmanager
    def broker(self, certificate=None):
        """A broker, over TLS with `certificate`, a path without its suffix, or the image's own."""
        # Without a plain listener this broker exits, and as another user, which it would become if
        # it is root, it may not read our files. Its WebSocket is on all interfaces if IPv6 is not
        # excluded.
        config = (
            f"{self.access}\nuser root\nlistener {self.plain} 127.0.0.1\n"
            f"listener {self.websocket} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\n"
        )
        if self.is_secure:
            certificate = certificate or self.certificates / "server"
            config += (
                f"cafile {self.certificates}/ca.pem\ncertfile {certificate}.pem\n"
                f"keyfile {certificate}.key.pem\n"
            )
        file = self.folder / "mosquitto.conf"
        file.write_text(config)
        with process(TOOLS["mosquitto"], "-c", str(file)) as child:
            end = time.monotonic() + TIMEOUT
            for port in (self.plain, self.websocket):
                while True:
                    assert child.poll() is None, "the broker has ended"
                    with contextlib.suppress(ConnectionRefusedError):
                        socket.create_connection(("127.0.0.1", port)).close()
                        break
                    assert time.monotonic() < end, "the broker does not listen"
                    time.sleep(0.02)
            yield

    def options(self):
        options = ["-V", "5", "-h", "127.0.0.1", "-p", str(self.plain), "-q", "1"]
        return options + ["-u", self.user_name, "-P", self.password] if self.user_name else options

    def command(self, text):
        subprocess.run(
            [TOOLS["mosquitto_pub"], *self.options(), "-t", "zephyr-websocket/command", "-m", text],
            check=True, timeout=TIMEOUT,
        )

    @contextlib.contextmanager
    def watcher(self):
        """A function that waits for a line of `TOPIC PAYLOAD`, of all that the device publishes."""
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
