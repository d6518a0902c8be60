# SPDX-License-Identifier: Apache-2.0
"""Prints the rows of the counting programs as tables, the aims, and where we are not ahead."""

import sys

PLATFORMS = (
    ("x86-64", "x86-64, callgrind, opt-level 3; pieces of 16 KiB"),
    ("m4-3", "Cortex-M4, QEMU, opt-level 3; pieces of 4 KiB"),
    ("m4-z", "Cortex-M4, QEMU, opt-level z; pieces of 4 KiB"),
)
NOTES = """
u  leaves UTF-8 to the application: the others have checked the text
ws-framer and edge-ws take whole messages, into a buffer of 1 MiB; the others take pieces through
one of the size of a piece. Left out are the socket's instructions, not the library's own copies.
tungstenite and fastwebsockets draw masking keys themselves, the others are given them (ws-framer
and embedded-websocket by an empty generator). wslay is Debian's build.
"""
MIB = 1 << 20


def read(path):
    """Counts by (direction, masked, kind, size), then by peer."""
    table, unchecked = {}, set()
    for line in open(path):
        peer, *case, mark, size, count = line.rstrip("\n").split("\t")
        case = (*case, int(size))
        table.setdefault(case, {})[peer] = int(count)
        if mark:
            unchecked.add((case, peer))
    return table, unchecked


def size_name(size):
    return {1 << 10: "1 KiB", 16 << 10: "16 KiB", MIB: "1 MiB"}.get(size, f"{size} B")


def name(case):
    direction, masked, kind, size = case
    return f"{direction:7} {masked:8} {kind:6} {size_name(size):>6}"


def aims(platform, table):
    """What each aim is about, its limit and what we need."""
    worst = lambda *wanted: max(
        counts["ours"] for case, counts in table.items() if case[: len(wanted)] == wanted
    )
    m4 = platform.startswith("m4")
    ours = lambda kind, size: worst("receive", "masked", kind, size)
    yield "receive 1 MiB binary, a byte", 1.0 if m4 else 0.35, ours("binary", MIB) / MIB
    yield "receive 16 B binary", 250 if m4 else 200, ours("binary", 16)
    if m4:
        yield "receive 1 MiB of ASCII text, a byte", 2.0, ours("text", MIB) / MIB
    yield "send any size as a server", 60, worst("send", "unmasked")


def main(prefix):
    behind, verdicts = [], []
    for platform, title in PLATFORMS:
        table, unchecked = read(f"{prefix}.{platform}")
        peers = list(next(iter(table.values())))
        print(f"Instructions for a message: {title}\n")
        print(" " * 30, *(f"{peer:>{max(10, len(peer) + 1)}}" for peer in peers))
        for case, counts in table.items():
            cells = []
            for peer in peers:
                mark = "u" if (case, peer) in unchecked else " "
                cells.append(f"{counts[peer]:{max(9, len(peer))},}{mark}")
            print(name(case), *cells)
            ahead = {
                peer: count
                for peer, count in counts.items()
                if peer != "ours" and count <= counts["ours"]
            }
            if ahead:
                others = ", ".join(
                    f"{peer} {count:,}{' u' if (case, peer) in unchecked else ''}"
                    for peer, count in sorted(ahead.items(), key=lambda item: item[1])
                )
                behind.append(f"{platform:6} {name(case)}  ours {counts['ours']:,}; {others}")
        for what, limit, count in aims(platform, table):
            verdict = "ok  " if count <= limit else "MISS"
            count = f"{count:.2f}" if isinstance(count, float) else count
            verdicts.append(f"{verdict} {platform:6} {what}: {count}, aim {limit}")
        print()
    print(NOTES.strip(), "", "Aims:", *verdicts, "", sep="\n")
    print(f"Rows in which we are not ahead of every peer: {len(behind)}", *behind, sep="\n")


main(sys.argv[1])
