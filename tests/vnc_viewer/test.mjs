// SPDX-License-Identifier: Apache-2.0
//
// noVNC in headless Chromium, against the VNC display: see scripts/vnc-viewer.sh, which runs this as
//
//   node test.mjs MODULES CHROMIUM SCREENSHOT SERVER [ARGUMENT...]
//
// MODULES is the folder of the packages, SCREENSHOT the file to write one to, or empty.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const [modules, chromiumPath, screenshot, ...command] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "package.json"))("playwright-core");
const here = dirname(fileURLToPath(import.meta.url));

/** For what must come, in milliseconds. */
const TIMEOUT = 30_000;

// What is shown, and where.
const BAR = [0x1c, 0x2b, 0x41];
const BACKGROUND = [0x10, 0x18, 0x24];
const TRACK = [0x2a, 0x38, 0x4c];
const GREEN = [0x2e, 0xcc, 0x71];
const BUTTON_UP = [0x2d, 0x7d, 0xd2];
const BUTTON_DOWN = [0x17, 0x4a, 0x80];
const WHITE = [0xf4, 0xf6, 0xf8];
const FIRST_MARK = [142, 124];
const ON_BUTTON = [20, 120];
const CLOCK = { x: 14, y: 48, width: 80, height: 24 };
const LABEL = [30, 105, 66, 30];

// The page with noVNC, which has another origin than the device.

const types = { ".html": "text/html", ".js": "text/javascript" };

async function pages(request, response) {
  const path = normalize(new URL(request.url, "http://localhost").pathname);
  const file = path.startsWith("/novnc/")
    ? join(modules, "node_modules", "@novnc", path)
    : join(here, "viewer.html");
  try {
    const content = await readFile(file);
    response.writeHead(200, { "Content-Type": types[extname(file)] ?? "text/plain" });
    response.end(content);
  } catch {
    response.writeHead(404).end();
  }
}

const web = createServer(pages);
await new Promise(resolve => web.listen(0, "127.0.0.1", resolve));
const page_url = `http://127.0.0.1:${web.address().port}/`;

// The device.

/** Starts a server, and waits until it tells its port. */
async function start(...options) {
  const [program, ...args] = [...command, ...options];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const device = { child, log: "", port: null };
  child.on("error", error => { device.log += error; });
  child.stdout.on("data", data => { device.log += data; });
  await until("the server listens", () => {
    assert.equal(child.exitCode, null, `the server has ended: ${device.log}`);
    device.port = /listening on port (\d+)/.exec(device.log)?.[1];
    return device.port;
  });
  device.url = `ws://127.0.0.1:${device.port}/`;
  return device;
}

async function stop(device) {
  if (device.child.exitCode === null && device.child.signalCode === null) {
    const ended = new Promise(resolve => device.child.once("exit", resolve));
    device.child.kill();
    await ended;
  }
}

async function until(what, condition) {
  const end = Date.now() + TIMEOUT;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

// Viewers.

/** A page with noVNC. What the device sends to it is in `messages`. */
async function open() {
  const page = await context.newPage();
  const messages = [];
  page.on("websocket", socket => socket.on("framereceived", ({ payload }) => {
    messages.push(payload);
  }));
  page.on("pageerror", error => { throw error; });
  await page.goto(page_url);
  await page.waitForFunction(() => window.viewer?.connect);
  const viewer = {
    page,
    messages,
    get: name => page.evaluate(name => window.viewer[name], name),
    pixels: (x, y, width, height) =>
      page.evaluate(area => window.viewer.pixels(...area), [x, y, width, height]),
    pixel: (x, y) => viewer.pixels(x, y, 1, 1),
    shows: (place, colour) =>
      page.waitForFunction(([place, colour]) => window.viewer.shows(...place, colour),
        [place, colour], { timeout: TIMEOUT }),
    connect: async (url = device.url, protocols) => {
      await page.evaluate(([url, protocols]) => window.viewer.connect(url, protocols),
        [url, protocols]);
      await viewer.shows(ON_BUTTON, BUTTON_UP);
    },
    disconnect: async () => {
      await page.evaluate(() => window.viewer.rfb.disconnect());
      await page.waitForFunction(() => window.viewer.clean !== null, null, { timeout: TIMEOUT });
      assert.equal(await viewer.get("clean"), true);
    },
    point: async ([x, y]) => {
      const box = await page.locator("#screen canvas").boundingBox();
      await page.mouse.move(box.x + x, box.y + y);
    },
    click: async place => {
      await viewer.point(place);
      await page.mouse.down();
      await viewer.shows(ON_BUTTON, BUTTON_DOWN);
      await page.mouse.up();
      await viewer.shows(ON_BUTTON, BUTTON_UP);
    },
  };
  return viewer;
}

/** Waits until a new line of the device's log ends like this. */
const logs = (from, line) =>
  until(`the device says ${line}`, () => device.log.slice(from).includes(`${line}\n`));

/** Updates are small enough here to come in one message each, with a rectangle at its front. */
function rect_of(message) {
  assert.equal(message[0], 0, "no update");
  const [x, y, width, height] = [4, 6, 8, 10].map(at => message.readUInt16BE(at));
  return { x, y, width, height };
}

const is_in = (rect, area) =>
  rect.x >= area.x && rect.y >= area.y && rect.x + rect.width <= area.x + area.width &&
  rect.y + rect.height <= area.y + area.height;

const count = messages => messages.reduce((sum, message) => sum + message.length, 0);

// The tests, in this order. Each leaves the motor off.

let device, one, other;

const tests = {
  async "connects as noVNC does by itself"() {
    one = await open();
    await one.connect();
    assert.equal(await one.get("name"), "zephyr-websocket display");
    assert.equal(one.messages[0].toString(), "RFB 003.008\n");
  },

  async "shows the right picture"() {
    const places = [
      [[2, 2], BAR], [[237, 20], BAR], [[2, 30], BACKGROUND], [[237, 157], BACKGROUND],
      [[14, 98], BACKGROUND], [[100, 102], BUTTON_UP], [FIRST_MARK, TRACK], [[178, 45], TRACK],
    ];
    for (const [place, colour] of places) {
      assert.deepEqual(await one.pixel(...place), colour, `at ${place}`);
    }
    // A title, and the label of the button.
    for (const area of [[8, 4, 112, 16], LABEL]) {
      const pixels = await one.pixels(...area);
      const white = pixels.filter((part, at) => at % 3 === 0 && part === WHITE[0]).length;
      assert.ok(white > 40, `${white} white pixels in ${area}`);
    }
  },

  async "the clock goes on, and nothing else changes"() {
    const clock = () => one.pixels(CLOCK.x, CLOCK.y, CLOCK.width, CLOCK.height);
    const below = () => one.pixels(0, 80, 240, 80);
    const [first, still] = [await clock(), await below()];
    const second = await until("the clock goes on", async () => {
      const now = await clock();
      return String(now) !== String(first) && now;
    });
    await until("and on", async () => String(await clock()) !== String(second));
    assert.deepEqual(await below(), still);
  },

  async "only changed rectangles are sent"() {
    const whole = count(one.messages);
    one.messages.length = 0;
    await until("five seconds", () => one.messages.length >= 5);
    const updates = one.messages.slice();
    for (const update of updates) {
      const rect = rect_of(update);
      assert.ok(is_in(rect, CLOCK), `${JSON.stringify(rect)} is not of the clock`);
      assert.ok(update.length < 1000, `${update.length} bytes for a second`);
    }
    console.log(`      ${whole} bytes at first, ${count(updates)} in ${updates.length} updates`);
  },

  async "a click on the button acts"() {
    const label = () => one.pixels(...LABEL);
    const [start, from] = [await label(), device.log.length];
    await one.click(ON_BUTTON);
    await logs(from, "motor on");
    await one.shows(FIRST_MARK, GREEN);
    const stop = await label();
    assert.notDeepEqual(stop, start);
    await one.click(ON_BUTTON);
    await logs(from, "motor off");
    await one.shows(FIRST_MARK, TRACK);
    assert.deepEqual(await label(), start);
  },

  async "a click beside the button does nothing"() {
    const before = await one.pixels(0, 80, 240, 80);
    await one.point([200, 130]);
    await one.page.mouse.down();
    await one.page.mouse.up();
    await one.point(ON_BUTTON);
    await one.page.mouse.down();
    await one.shows(ON_BUTTON, BUTTON_DOWN);
    await one.point([200, 130]);
    await one.page.mouse.up();
    await one.shows(ON_BUTTON, BUTTON_UP);
    assert.deepEqual(await one.pixels(0, 80, 240, 80), before);
  },

  async "the space bar does what a click does"() {
    await one.page.locator("#screen canvas").focus();
    for (const [state, colour] of [["on", GREEN], ["off", TRACK]]) {
      const from = device.log.length;
      await one.page.keyboard.press("Space");
      await logs(from, `motor ${state}`);
      await one.shows(FIRST_MARK, colour);
    }
  },

  async "two viewers see the same"() {
    other = await open();
    await other.connect();
    const same = () => until("the same", async () => {
      const [a, b] = await Promise.all([one, other].map(viewer => viewer.pixels(0, 0, 240, 160)));
      return String(a) === String(b);
    });
    await same();
    await other.click(ON_BUTTON);
    for (const viewer of [one, other]) await viewer.shows(FIRST_MARK, GREEN);
    await same();
    await one.click(ON_BUTTON);
    for (const viewer of [one, other]) await viewer.shows(FIRST_MARK, TRACK);
    await same();
  },

  async "a viewer goes and comes back"() {
    const from = device.log.length;
    await other.disconnect();
    await logs(from, "disconnected");
    await other.connect();
    const clock = await other.pixels(CLOCK.x, CLOCK.y, CLOCK.width, CLOCK.height);
    await until("its clock goes on", async () =>
      String(await other.pixels(CLOCK.x, CLOCK.y, CLOCK.width, CLOCK.height)) !== String(clock));
  },

  async "a viewer whose page is closed lets the button go"() {
    await other.point(ON_BUTTON);
    await other.page.mouse.down();
    await one.shows(ON_BUTTON, BUTTON_DOWN);
    await other.page.close();
    await one.shows(ON_BUTTON, BUTTON_UP);
    assert.deepEqual(await one.pixel(...FIRST_MARK), TRACK);
  },

  async "the subprotocol binary is agreed on where it is offered"() {
    other = await open();
    await other.connect(device.url, ["binary"]);
    assert.equal(await other.page.evaluate(() => window.viewer.socket.protocol), "binary");
    await other.disconnect();
    await other.page.close();
  },

  async "a plain request is told what to do"() {
    const answer = await fetch(`http://127.0.0.1:${device.port}/`);
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), /noVNC/);
    assert.equal((await fetch(`http://127.0.0.1:${device.port}/x`)).status, 404);
  },

  async "noVNC is told when the device has gone"() {
    await stop(device);
    await one.page.waitForFunction(() => window.viewer.clean !== null, null, { timeout: TIMEOUT });
    device = await start();
    await one.connect();
  },
};

// Only the PC's example takes it as an argument.
if (command[0].endsWith("vnc_display")) {
  tests["pages of another origin are refused"] = async () => {
    const strict = await start("--origin", "http://device.example");
    try {
      await one.disconnect();
      await one.page.evaluate(url => window.viewer.connect(url), strict.url);
      await one.page.waitForFunction(() => window.viewer.clean === false, null, { timeout: TIMEOUT });
      assert.equal(await one.get("name"), null);
      await one.connect();
    } finally {
      await stop(strict);
    }
  };
}

let [passed, failed] = [0, 0];
const is_root = process.getuid() === 0;
const browser = await chromium.launch({
  executablePath: chromiumPath,
  chromiumSandbox: !is_root,
  args: [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
const context = await browser.newContext({ deviceScaleFactor: 2 });
try {
  device = await start();
  for (const [name, test] of Object.entries(tests)) {
    const started = Date.now();
    try {
      await test();
      passed += 1;
      console.log(`ok    ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}: ${error.stack}`);
    }
  }
  if (screenshot) {
    await one.click(ON_BUTTON);
    await until("full speed", async () => (await one.pixel(219, 79)).join() !== TRACK.join());
    await one.point([120, 150]);
    await one.page.locator("#screen canvas").screenshot({ path: screenshot });
  }
  if (failed) console.log(`--- what the device said\n${device.log}`);
} finally {
  await browser.close();
  if (device) await stop(device);
  web.close();
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exitCode = failed ? 1 : 0;
