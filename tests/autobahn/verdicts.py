#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare an Autobahn|Testsuite report with the verdicts that are expected.

    verdicts.py REPORT_DIR PLANNED [--all]

REPORT_DIR holds the suite's index.json. PLANNED is the suite's log, whose line
"Cases = [...]" names what it was to run. With --all that must be exactly the set
in expected.json. Exit status: 0 if every planned case has its expected verdicts,
1 if not.
"""

import argparse
import collections
import json
import pathlib
import re
import sys

AGENT = "zephyr-websocket"
EXPECTED = pathlib.Path(__file__).with_name("expected.json")
MISSING = ("MISSING", "MISSING")
# Cases outside the expected set (compression) are asked for by name only.
DEFAULT = ("OK", "OK")


def order(case):
    return [int(part) for part in case.split(".")]


def planned_cases(log):
    """The cases that the suite said it would run."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lists = re.findall(r"^Cases = \[(.*)\]$", text, re.MULTILINE)
    if len(lists) != 1:
        raise ValueError(f"{log}: expected one list of cases, found {len(lists)}")
    return re.findall(r"\d+(?:\.\d+)+", lists[0])


def report_cases(report):
    """The report of our agent: case -> entry of index.json."""
    index = json.loads((report / "index.json").read_text(encoding="utf-8"))
    # A second name would mean that someone else's endpoint was measured too.
    if sorted(index) not in ([], [AGENT]):
        raise ValueError(f"report of other agents: {', '.join(sorted(index))}")
    return index.get(AGENT, {})


def verdict(entry):
    if entry is None:
        return MISSING
    return entry.get("behavior", "MISSING"), entry.get("behaviorClose", "MISSING")


def label(pair):
    return pair[0] if pair[0] == pair[1] else f"{pair[0]}, close {pair[1]}"


def explain(report, entry):
    """What the suite says about a case, from its own report file."""
    if entry is None:
        return "no verdict"
    try:
        detail = json.loads((report / entry["reportfile"]).read_text(encoding="utf-8"))
    except (KeyError, OSError, ValueError):
        return "no detail report"
    code = entry.get("remoteCloseCode")
    return (f"{detail.get('result')} {detail.get('resultClose')}. "
            f"Close code {code}, {entry.get('duration')} ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("planned", type=pathlib.Path)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()

    expected = {case: tuple(pair) for case, pair
                in json.loads(EXPECTED.read_text(encoding="utf-8"))["cases"].items()}
    try:
        planned = planned_cases(args.planned)
        entries = report_cases(args.report)
    except (OSError, ValueError) as error:
        print(f"FAIL: no usable report: {error}")
        return 1

    problems = []
    if not planned:
        problems.append("no case was planned")
    if args.all and set(planned) != set(expected):
        odd = sorted(set(planned) ^ set(expected), key=order)
        problems.append(f"the suite's cases are not those of {EXPECTED.name}: {' '.join(odd)}")
    extra = sorted(set(entries) - set(planned), key=order)
    if extra:
        problems.append(f"not planned, but reported: {' '.join(extra)}")

    counts = collections.Counter()
    wrong = 0
    for case in sorted(set(planned), key=order):
        entry = entries.get(case)
        got, want = verdict(entry), expected.get(case, DEFAULT)
        counts[label(got)] += 1
        if got != DEFAULT:
            note = "as expected" if got == want else f"expected {label(want)}"
            print(f"{case:<8} {label(got)} ({note})")
        if got != want:
            wrong += 1
            print(f"{'':<8} {explain(args.report, entry)}")
    if wrong:
        problems.append(f"{wrong} of {len(set(planned))} cases without their expected verdict")

    total = sum(counts.values())
    print(f"{total} cases: " + ", ".join(f"{n} {name}" for name, n in counts.most_common()))
    for problem in problems:
        print(f"FAIL: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
