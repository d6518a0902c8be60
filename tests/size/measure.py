# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs through their conversations, then says whose bytes they are, and compares budgets.

    measure.py FOLDER LEVEL/PROVIDER...

FOLDER/LEVEL/PROVIDER holds the jobs built at that opt-level with that provider of the accept key:
with the first provider the harness and all jobs, with others the server.
"""

import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import conversations

HERE = Path(__file__).resolve().parent
TARGET = "thumbv7em-none-eabi/release"
QEMU = "qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none".split()
QEMU += ["-semihosting-config", "enable=on,target=native"]
# Many times what a run takes.
TIMEOUT_S = 60

# By the innermost function that has one of these names; what the core library has lent is the
# borrower's, and the symbol tells where nothing else does.
ACCEPT_KEY = "zephyr_websocket::handshake::accept_key::(?!check_key)"
OWNERS = [
    (row, re.compile(rf"<?(&(mut )?|\w+ as )?({names})"))
    for row, names in [
        ("mem* and builtins", r"compiler_builtins::|mem\w*$|__"),
        ("base64", rf"base64ct::|{ACCEPT_KEY}.*(encode|base64)"),
        ("SHA-1", rf"sha1_smol::|{ACCEPT_KEY}"),
        ("HTTP handshake", "zephyr_websocket::handshake::"),
        ("UTF-8", "zephyr_websocket::utf8::"),
        ("protocol", "zephyr_websocket::(connection|frame|mask|close|role|error)::"),
        ("hub", "zephyr_websocket::hub::"),
        ("the job's loop", "(size|server|client|frames|hub)::|main$"),
    ]
]
LIBRARY = ["protocol", "hub", "HTTP handshake", "UTF-8", "formatting, panic, core", "constants"]
BESIDE = ["SHA-1", "base64", "mem* and builtins", "unwind index"]
ROWS = [*LIBRARY, "WebSocket", "the job's loop", "with the job's loop", *BESIDE, "everything"]
SUMS = ["WebSocket", "with the job's loop", "everything"]
STACK = ["stack", "stack with accept key"]
LEGEND = """\
WEBSOCKET is what the library takes; constants of other rows are in these. The accept key is SHA-1
and base64 with the code that calls them. stack is how much of a painted stack was written over, the
job's own frame included: apart from the time in which the accept key was computed, and at all.
"""

passed = failed = 0


def result(ok, text):
    global passed, failed
    passed, failed = passed + ok, failed + (not ok)
    print(f"{'ok' if ok else 'FAIL':6}{text}")


def tool(name, *args, **options):
    command = [f"arm-none-eabi-{name}", *args]
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


# --- Conversations ---------------------------------------------------------------


def converse(title, harness, elf, job):
    """Runs a job's conversations, and returns what the harness has measured if all is well."""
    talks = list(conversations.JOBS[job]())
    entry, *_ = struct.unpack_from("<I", elf.read_bytes(), 24)
    file = elf.with_suffix(".conversations")
    file.write_bytes(conversations.encode(talks, job == "client", entry))
    command = [*QEMU, "-kernel", str(harness), "-device", f"loader,file={elf}"]
    command += ["-device", f"loader,file={file},addr=0x21000000,force-raw=on"]
    try:
        # Ends QEMU when the time is over.
        run = subprocess.run(command, stdout=-1, stderr=subprocess.STDOUT, timeout=TIMEOUT_S)
        out, end = run.stdout, f"ends with status {run.returncode}"
    except subprocess.TimeoutExpired as over:
        out, end = over.stdout or b"", f"does not end in {TIMEOUT_S} s"
    measured, wrong, last, other = {}, {}, 0, []
    for line in out.decode(errors="replace").splitlines():
        match line.split(maxsplit=5):
            case ["run", number]:
                last = int(number)
            case ["failed", number, first, piece, item, why]:
                talk = talks[int(number)]
                wrong.setdefault(talk.name, explain(talk, int(first), int(piece), int(item), why))
            case ["type", size, name]:
                measured[name] = int(size)
            case ["stack", without, with_key]:
                measured |= zip(STACK, (int(without), max(int(without), int(with_key))))
            case ["done", runs]:
                measured["runs"] = int(runs)
            case _:
                other.append(line)
    if "runs" not in measured:
        wrong[talks[last].name] = " ".join([end, *other])
        # Those behind it were not held.
        talks = talks[: last + 1]
    for name, why in wrong.items():
        result(False, f"{title}: {name}: {why}")
    names = {talk.name for talk in talks} - set(wrong)
    global passed
    passed += len(names)
    print(f"ok    {title}: {len(names)} conversations in {measured.get('runs', 'some')} runs")
    return None if wrong else measured


def explain(talk, first, piece, item, why):
    whole = first == piece == len(talk.input)
    way = (
        "whole" if whole else f"{first} bytes first" if first != piece else f"in pieces of {piece}"
    )
    text = f"item {item} {why} ({way})"
    if item <= len(talk.sent):
        kind, data = talk.sent[item - 1]
        text += f"; it is {kind:#x} {data[:40]!r}"
    return text


# --- Sizes -----------------------------------------------------------------------


def sections(elf):
    """Address, bytes and name of what stands in flash."""
    out = []
    for line in tool("objdump", "-hw", str(elf)).splitlines():
        words = line.split()
        if len(words) > 7 and words[0].isdigit() and "ALLOC" in line:
            assert "CONTENTS" in line, f"{elf}: {words[1]} is in RAM"
            at, size, offset = int(words[3], 16), int(words[2], 16), int(words[5], 16)
            out.append((at, elf.read_bytes()[offset : offset + size], words[1]))
    return out


def owner(functions):
    rows = (row for function in functions for row, names in OWNERS if names.match(function))
    return next(rows, "formatting, panic, core")


def instructions(elf):
    """Address, mnemonic, operands and symbol of each, and of each word of data between them."""
    symbol = ""
    for line in tool("objdump", "-dwC", str(elf)).splitlines():
        if found := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            symbol = found[1]
        elif found := re.match(r" +([0-9a-f]+):\t[0-9a-f ]+\t(\S+)\s*(.*)", line):
            yield int(found[1], 16), found[2], found[3], symbol


def owners(elf, code):
    """The row of each address in `code`."""
    addresses = "\n".join(f"{at:#x}" for at, *_ in code)
    # For each address a line with it, then two for each level of inlining: function, place.
    out = tool("addr2line", "-afiC", "-e", str(elf), input=addresses)
    chains = re.split(r"^0x[0-9a-f]{8}\n", out, flags=re.M)[1:]
    return {
        at: owner([*chain.splitlines()[::2], symbol])
        for (at, *_, symbol), chain in zip(code, chains, strict=True)
    }


def sizes(elf):
    """The bytes of each row."""
    in_flash = sections(elf)
    text_at, text = next((at, data) for at, data, name in in_flash if name == ".text")
    rodata_at, rodata = next(
        ((at, data) for at, data, name in in_flash if name == ".rodata"), (0, b"")
    )
    code = list(instructions(elf))
    row_of = owners(elf, code)
    # Literals belong to the instruction that loads them, and constants to the one that has their
    # address, in a literal or in two halves.
    constants, halves = {}, {}
    for at, mnemonic, operands, _ in code:
        value = None
        if found := re.search(r"\[pc.*@ \(?([0-9a-f]+) <", operands):
            literal = int(found[1], 16)
            row_of[literal] = row_of[at]
            value, *_ = struct.unpack_from("<I", text, literal - text_at)
        elif found := re.match(r"(\w+), #(\d+)", operands):
            if mnemonic.startswith("movw"):
                halves[found[1]] = int(found[2])
            elif mnemonic.startswith("movt"):
                value = int(found[2]) << 16 | halves.get(found[1], 0)
        if value is not None and rodata_at <= value < rodata_at + len(rodata):
            constants.setdefault(value, row_of[at])
    rows = dict.fromkeys(ROWS, 0)

    def add(starts, end):
        """Each reaches to the next one: what aligns it counts."""
        for (at, row), (next_at, _) in zip(starts, [*starts[1:], (end, None)]):
            rows[row] += next_at - at

    add([(at, row_of[at]) for at, *_ in code], text_at + len(text))
    parts = [(at, "constants" if row in LIBRARY else row) for at, row in sorted(constants.items())]
    add([(rodata_at, "constants"), *parts], rodata_at + len(rodata))
    rows["unwind index"] = sum(len(data) for *_, data, name in in_flash if ".ARM.ex" in name)
    rows["WebSocket"] = sum(rows[row] for row in LIBRARY)
    rows["with the job's loop"] = rows["WebSocket"] + rows["the job's loop"]
    rows["everything"] = rows["with the job's loop"] + sum(rows[row] for row in BESIDE)
    assert rows["everything"] == sum(len(data) for _, data, _ in in_flash), f"{elf}: a new section"
    return rows


def table(level, figures):
    def line(title, cells):
        widths = (max(len(name), 6) + 2 for name in figures)
        print(f"{title:24}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths)))

    print()
    line(f"opt-level {level}", figures)
    for row in ROWS + STACK:
        title = row.upper() if row in SUMS else row
        line(title, (f"{column[row]:,}" if row in column else "" for column in figures.values()))
    for name, size in next(iter(figures.values())).items():
        if name.endswith((">", "Handshake", "Slot")):
            print(f"{f'size of {name}':30}{size:4}")
    print()


def budget(name, value, limits):
    aim = limits["aim"]
    most = limits.get("reached", aim)
    note = "" if most == aim else f", aim {aim:,}"
    result(value <= most, f"budget {name}: {value:,} of {most:,} bytes{note}")


def main(folder, builds):
    limits = tomllib.loads((HERE / "budgets.toml").read_text())
    levels = {}
    for build in builds:
        level, provider = build.split("/")
        levels.setdefault(level, []).append(provider)
    for level, providers in levels.items():
        figures = {}
        for provider in providers:
            first = provider == providers[0]
            for job in conversations.JOBS if first else ["server"]:
                name = job if first else f"{job}, {provider}"
                elf = Path(folder, level, provider, TARGET, job)
                harness = Path(folder, level, providers[0], TARGET, "harness")
                # A size counts only where everything works.
                if measured := converse(f"{level} {name}", harness, elf, job):
                    figures[name] = {**sizes(elf), **measured}
        # Its conversations are those of tests/hub.rs, on a PC: it puts several frames into one write.
        hub = Path(folder, level, providers[0], TARGET, "hub")
        if figures:
            table(level, {**figures, "hub": sizes(hub)})
        if level != "z":
            continue
        for job in conversations.JOBS:
            if job in figures:
                budget(job, figures[job]["WebSocket"], limits[job])
        if server := figures.get("server"):
            context = max(server[f"Connection<{role}>"] for role in ("Server", "Client"))
            budget("context", context, limits["context"])
            budget("stack", server["stack"], limits["stack"])
    print(LEGEND)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
