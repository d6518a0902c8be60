# SPDX-License-Identifier: Apache-2.0
"""The sample dashboard in Chromium."""

import functools
import http.server
import io
import json
import re
import threading

from conftest import TIMEOUT
from PIL import Image
from playwright.sync_api import expect

# Where the line of the plot begins, as a part of the canvas' width, in the colour of the line.
LINE_BEGINS = """() => {
  const plot = document.querySelector("canvas"), { width, height } = plot;
  const wanted = getComputedStyle(plot).getPropertyValue("--accent").match(/\\w\\w/g).map(c => parseInt(c, 16));
  const { data } = plot.getContext("2d").getImageData(0, 0, width, height);
  for (let x = 0; x < width; x++)
    for (let y = 0; y < height; y++) {
      const at = 4 * (y * width + x);
      if (data[at + 3] > 250 && wanted.every((c, i) => Math.abs(c - data[at + i]) < 8)) return x / width;
    }
  return null;
}"""


def messages(page, kind):
    return [message for message in map(json.loads, page.received) if message["type"] == kind]


def wait_until(page, condition, complaint):
    for _ in range(TIMEOUT * 20):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError(complaint)


def switch(page):
    return page.get_by_role("switch", name="LED")


def slider(page):
    return page.get_by_role("slider", name="Sampling")


def test_loads_one_page_from_the_device_alone(open_page, device):
    page = open_page()
    wait_until(page, lambda: len(messages(page, "sample")) >= 3, "no samples")
    documents = [url for url in page.requests if not url.startswith("data:")]
    assert documents == [device.url]
    assert [url for _, url in page.attempts] == [device.url.replace("http", "ws") + "ws"]
    assert page.errors == []
    (about,) = messages(page, "device")
    expect(page).to_have_title(about["name"])
    expect(page.get_by_role("heading", level=1)).to_have_text(about["name"])
    expect(page.locator("#value")).to_have_text(re.compile(r"^\d+\.\d\d °C$"))
    expect(page.locator("#uptime")).to_have_text(re.compile(r"^0:\d\d:\d\d$"))
    expect(page.locator("#connections")).to_have_text(re.compile(r"^1 of \d+$"))
    # What the device counts of its memory, and nothing else.
    counted = messages(page, "sample")[-1]["in_use"]
    assert page.locator("#gauges > div").evaluate_all("rows => rows.map(row => row.id)") == list(counted)
    assert all(0 <= used <= total for used, total in counted.values())


def test_plot_moves(open_page):
    page = open_page()
    wait_until(page, lambda: page.evaluate(LINE_BEGINS) is not None, "no line")
    begins = page.evaluate(LINE_BEGINS)
    value = page.locator("#value").inner_text()
    assert begins > 0.5, "the line does not begin at the right"
    # The same line, further left.
    wait_until(page, lambda: page.evaluate(LINE_BEGINS) < begins - 0.05, "it does not move")
    expect(page.locator("#value")).not_to_have_text(value)


def test_led_is_switched_both_ways_as_the_device_says(open_page, device):
    page, other = open_page(), open_page()
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    for on in (True, False, True):
        switch(page).click()
        expect(switch(page)).to_have_attribute("aria-checked", str(on).lower())
        expect(switch(other)).to_have_attribute("aria-checked", str(on).lower())
        device.wait_for_log("LED on" if on else "LED off")
    # One that comes later is told.
    expect(switch(open_page())).to_have_attribute("aria-checked", "true")
    # By the keyboard, from another page.
    switch(other).press("Space")
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    switched = [message["led"] for message in messages(page, "state")]
    assert switched == [False, True, False, True, False]


def test_sampling_rate_is_set_on_all_pages(open_page):
    page, other = open_page(), open_page()
    slider(page).press("End")
    for each in (page, other):
        expect(each.locator("#every")).to_have_text("20 a second")
        expect(slider(each)).to_have_attribute("aria-valuetext", "20 a second")
        assert messages(each, "state")[-1]["interval_ms"] == 50
    # By the device's clock. It may be late, and then catches up.
    before = len(messages(other, "sample"))
    wait_until(other, lambda: len(messages(other, "sample")) >= before + 20, "no samples")
    times = [message["uptime_ms"] for message in messages(other, "sample")[before:]]
    assert min(b - a for a, b in zip(times, times[1:])) < 200
    slider(page).press("Home")
    expect(other.locator("#every")).to_have_text("every 10 s")


def test_command_that_is_not_valid_is_answered(open_page):
    page = open_page()
    for command, answer in [
        ("led perhaps", "led takes on or off"),
        ("interval 49", "interval takes 50 to 10000, in milliseconds"),
        ("interval 10001", "interval takes 50 to 10000, in milliseconds"),
        ("interval -1", "interval takes 50 to 10000, in milliseconds"),
        ("reboot", "commands are: led on, led off, interval MS"),
    ]:
        page.evaluate("command => socket.send(command)", command)
        expect(page.get_by_role("alert")).to_have_text(answer)
    page.evaluate("socket.send(new Uint8Array([1, 2, 3]))")
    expect(page.get_by_role("alert")).to_have_text("a command is text")
    # It still obeys, and nothing of that was done.
    switch(page).click()
    expect(switch(page)).to_have_attribute("aria-checked", "true")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert {message["interval_ms"] for message in messages(page, "state")} == {250}


def test_two_pages_at_once(open_page):
    page, other = open_page(), open_page()
    for each in (page, other):
        expect(each.locator("#connections")).to_have_text(re.compile("^2 of"))
        before = len(messages(each, "sample"))
        wait_until(each, lambda: len(messages(each, "sample")) > before + 4, "no samples")
    other.close()
    expect(page.locator("#connections")).to_have_text(re.compile("^1 of"))
    expect(page.get_by_role("status")).to_have_text("connected")


def test_page_too_many_is_told_so_and_comes_in_when_another_goes(open_page):
    page, other = open_page(), open_page()
    connections = page.locator("#connections")
    total = int(connections.inner_text().split(" of ")[1])

    def hold(count):
        page.evaluate("""count => {
            for (; count; count--) (window.held ??= []).push(new WebSocket(socket.url));
        }""", count)
        expect(connections).to_have_text(f"{total} of {total}")

    hold(total - 2)
    # Another takes its place.
    other.evaluate("() => { window.really = connect; connect = () => {}; lose(); }")
    expect(connections).to_have_text(f"{total - 1} of {total}")
    hold(1)
    other.evaluate("""() => {
        connect = () => {
            really();
            socket.addEventListener("close", ({ code }) => window.code = code);
        };
    }""")
    wait_until(other, lambda: other.evaluate("window.code"), "it is not closed")
    # A hub that answers the opening handshake itself says 503, of which a page learns nothing.
    code = other.evaluate("code")
    assert code in (1006, 1013)
    expect(other.locator("#why")).to_have_text("Link lost" if code == 1006 else "Too many pages are open")
    expect(other.get_by_role("button", name="Retry now")).to_be_visible()
    expect(connections).to_have_text(f"{total} of {total}")
    page.evaluate("held.pop().close()")
    expect(other.get_by_role("status")).to_have_text("connected")
    expect(other.locator("#lost")).to_be_hidden()


def test_reconnects_when_the_device_restarts(open_page, device):
    page, other = open_page(), open_page()
    switch(page).click()
    expect(switch(page)).to_have_attribute("aria-checked", "true")
    assert len(page.attempts) == 1
    device.stop()
    for each in (page, other):
        expect(each.get_by_text("Link lost")).to_be_visible()
        expect(each.locator("#retry")).to_have_text(re.compile(r"^(retrying in \d+ s|connecting)$"))
        expect(each.get_by_role("status")).not_to_have_text("connected")
        expect(switch(each)).to_be_disabled()
        expect(slider(each)).to_be_disabled()
        # It still fits the phone, and the button's text is one line.
        assert each.evaluate("document.documentElement.scrollWidth") <= 390
        assert 32 <= each.get_by_role("button", name="Retry now").bounding_box()["height"] < 44
    # It tries again and again, each time after a longer wait: about 1, 2 and 4 s.
    wait_until(page, lambda: len(page.attempts) >= 4, "it does not try again")
    at = [time for time, _ in page.attempts]
    assert at[2] - at[1] > 1 and at[3] - at[2] > 2
    device.start()
    for each in (page, other):
        expect(each.get_by_role("status")).to_have_text("connected")
        expect(each.get_by_text("Link lost")).to_be_hidden()
        # The device has begun anew.
        expect(switch(each)).to_have_attribute("aria-checked", "false")
        assert len(messages(each, "device")) == 2
        before = len(messages(each, "sample"))
        wait_until(each, lambda: len(messages(each, "sample")) > before + 2, "no samples")
    switch(page).click()
    expect(switch(other)).to_have_attribute("aria-checked", "true")


def test_says_so_when_the_device_falls_silent(open_page, device):
    page = open_page()
    wait_until(page, lambda: page.evaluate(LINE_BEGINS) is not None, "no line")
    device.freeze()
    expect(page.get_by_text("Link lost")).to_be_visible()
    expect(switch(page)).to_be_disabled()
    # What is not known does not move.
    image = page.evaluate("plot.toDataURL()")
    page.wait_for_timeout(500)
    assert page.evaluate("plot.toDataURL()") == image
    device.thaw()
    expect(page.get_by_role("status")).to_have_text("connected")
    expect(switch(page)).to_be_enabled()


def test_can_be_told_to_try_again_now(open_page, device):
    page = open_page()
    device.stop()
    retry = page.get_by_role("button", name="Retry now")
    expect(retry).to_be_visible()
    device.start()
    # It may connect by itself meanwhile.
    page.evaluate("document.getElementById('now').click()")
    expect(page.get_by_role("status")).to_have_text("connected")
    expect(retry).to_be_hidden()


class Foreign(http.server.BaseHTTPRequestHandler):
    """A page of another origin, that opens a WebSocket to `device`."""

    def __init__(self, device, *arguments):
        self.device = device
        super().__init__(*arguments)

    def do_GET(self):
        body = """<!doctype html><title>opening</title><script>
            const socket = new WebSocket("%sws");
            let heard = 0;
            socket.onmessage = () => heard++;
            socket.onclose = () => document.title = "closed after " + heard + " messages";
        </script>""" % self.device.url.replace("http", "ws")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def test_page_of_another_origin_is_refused(open_page, browser, device):
    page = open_page()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Foreign, device)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context()
        foreign = context.new_page()
        foreign.goto(f"http://127.0.0.1:{server.server_port}/")
        expect(foreign).to_have_title("closed after 0 messages")
        context.close()
        server.shutdown()
    # The device's own page is served on.
    switch(page).click()
    expect(switch(page)).to_have_attribute("aria-checked", "true")
    expect(page.locator("#connections")).to_have_text(re.compile("^1 of"))


def test_fits_a_phone_and_a_desktop_in_light_and_dark(open_page, request):
    folder = request.config.getoption("--screenshots")
    backgrounds = set()
    for name, width, height, scheme in [
        ("narrow", 360, 640, "dark"), ("phone", 390, 844, "light"), ("desktop", 900, 720, "dark")
    ]:
        page = open_page(width, height, color_scheme=scheme)
        wait_until(page, lambda: page.evaluate(LINE_BEGINS) is not None, "no line")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for control in (switch(page), slider(page)):
            box = control.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] >= 36
        backgrounds.add((scheme, page.evaluate("getComputedStyle(document.documentElement).backgroundColor")))
        if folder and name != "narrow":
            fill_plot(page)
            save(page.screenshot(full_page=True), folder / f"{name}.png")
            switch(page).click()
        page.close()
    assert len(backgrounds) == 2 and len({color for _, color in backgrounds}) == 2


def fill_plot(page):
    """Lets the plot fill with something to see."""
    for seconds in (8, 15, 14):
        page.wait_for_timeout(seconds * 1000)
        switch(page).click()
    page.wait_for_timeout(6000)


def save(image, path):
    """As a PNG with a palette, which is a third as large."""
    Image.open(io.BytesIO(image)).quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
