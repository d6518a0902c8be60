# SPDX-License-Identifier: Apache-2.0
"""The MQTT client over TLS in a running image: which brokers it trusts."""

from certificates import built_in, make, make_ca
from mosquitto import TIMEOUT, Place, needs_mosquitto
from twister_harness import DeviceAdapter

pytestmark = needs_mosquitto


def test_trusts_the_built_in_ca_only_and_tries_again(unlaunched_dut: DeviceAdapter, tmp_path):
    device, place = unlaunched_dut, Place(unlaunched_dut, tmp_path)
    make_ca(tmp_path, "ca")
    unknown = make(tmp_path, "unknown", tmp_path / "ca")
    other = make(tmp_path, "other", built_in(device) / "ca", "DNS:other.example")
    device.launch()
    try:
        for certificate, words in (
            (unknown, "from an unknown CA"),
            (other, "for another host name"),
        ):
            with place.broker(certificate):
                for _ in range(2):
                    lines = device.readlines_until(
                        regex=f"{words}.*connecting again", timeout=TIMEOUT
                    )
                    assert not [line for line in lines if "WebSocket open" in line]
        with place.broker(), place.watcher() as wait_for:
            wait_for("status online")
            wait_for(r'telemetry .*"led":false')
    finally:
        device.close()


def test_says_that_the_broker_speaks_no_tls(unlaunched_dut: DeviceAdapter, tmp_path):
    device, place = unlaunched_dut, Place(unlaunched_dut, tmp_path)
    place.is_secure = False
    device.launch()
    try:
        with place.broker():
            for _ in range(2):
                device.readlines_until(
                    regex="the TLS handshake failed.*connecting again", timeout=TIMEOUT
                )
        place.is_secure = True
        with place.broker(), place.watcher() as wait_for:
            wait_for("status online")
    finally:
        device.close()
