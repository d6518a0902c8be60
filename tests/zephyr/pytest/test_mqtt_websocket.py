# SPDX-License-Identifier: Apache-2.0
"""The MQTT client in a running image, against Eclipse Mosquitto."""

import re

from mosquitto import TIMEOUT, Place, needs_mosquitto
from twister_harness import DeviceAdapter

pytestmark = needs_mosquitto


def delay(device, failure):
    """What the log says next to be the time before another attempt, in milliseconds."""
    pattern = rf"{failure}.*; connecting again in (\d+) ms"
    lines = device.readlines_until(regex=pattern, timeout=TIMEOUT)
    return int(re.search(pattern, lines[-1])[1])


def test_reports_obeys_and_outlives_its_broker(unlaunched_dut: DeviceAdapter, tmp_path):
    device, place = unlaunched_dut, Place(unlaunched_dut, tmp_path)
    telemetry = r'telemetry \{"uptime_ms":\d+,"temperature":2\d\.\d,"led":%s\}'
    device.launch()
    try:
        # Nobody is there at first. The delays are random, up to a limit that is doubled.
        for limit in (100, 200, 400, 500, 500):
            assert delay(device, "nobody listens") <= limit
        with place.broker(), place.watcher() as wait_for:
            wait_for("status online")
            wait_for(telemetry % "false")
            place.command("led on")
            wait_for(telemetry % "true")
            place.command("dance")
            device.readlines_until(regex="a command of 5 bytes is not", timeout=TIMEOUT)
            place.command("interval 100")
            device.readlines_until(regex="a report every 100 ms", timeout=TIMEOUT)
        # A connection as short as that does not count as a success.
        assert delay(device, "") <= 500
        assert delay(device, "nobody listens") <= 500
        with place.broker(), place.watcher() as wait_for:
            wait_for("status online")
            wait_for(telemetry % "true")
            place.command("led off")
            wait_for(telemetry % "false")
            device.close()
            wait_for("status offline")
    finally:
        device.close()
