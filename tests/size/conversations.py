# SPDX-License-Identifier: Apache-2.0
"""The conversations that a job must pass: what it receives, and what it must send."""

import struct
from itertools import chain
from typing import NamedTuple

# First bytes of frames, received and sent.
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A
MORE = 0x7F  # TEXT & MORE begins a message of several fragments.
# What is sent and no frame, and what is echoed as far as it came before a wrong byte.
RAW, PARTIAL = 0x100, 0x200
# Of a conversation: the job ends it, it is split at every byte too, the job masks.
GIVES_UP, SPLITS, MASKS = 1, 2, 4

REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
REFUSAL = (
    b"HTTP/1.1 %d \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Allow: GET\r\nConnection: close\r\n\r\n"
)
BUFFER = 1024


class Conversation(NamedTuple):
    name: str
    input: bytes
    sent: list
    gives_up: bool = False
    splits: bool = True


def frame(first, payload=b"", masked=True, length=None, form=0):
    """A frame that announces `length` bytes in 16 bits (form 126), 64 (127) or the least."""
    length = len(payload) if length is None else length
    form = form or (length if length < 126 else 126 if length < 0x10000 else 127)
    head = bytes([first, form | masked << 7])
    head += struct.pack(">Q", length)[{126: 6, 127: 0}.get(form, 8) :]
    if not masked:
        return head + payload
    key = b"\x37\xfa\x21\x3d"
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + mixed.to_bytes(len(payload), "big")


def close(code, reason=b""):
    return struct.pack(">H", code) + reason


def echoed(frames):
    answers = {PING: PONG}
    return [(answers.get(first, first), payload) for first, payload in frames if first != PONG]


def talk(masked):
    """Conversations of frames, from a client if `masked`."""
    bye = (CLOSE, close(1000, b"bye"))

    def good(name, *frames, end=(bye,)):
        frames += tuple(end)
        data = b"".join(frame(first, payload, masked) for first, payload in frames)
        return Conversation(name, data, echoed(frames), splits=len(data) < 400)

    def wrong(name, bad, code=1002, before=(), partial=()):
        """`bad` may be arguments of a frame. Nothing behind it is answered."""
        bad = bad if isinstance(bad, bytes) else frame(*bad, masked=masked)
        start = b"".join(frame(first, payload, masked) for first, payload in before)
        sent = echoed(before) + [(kind | PARTIAL, data) for kind, data in partial]
        ping = frame(PING, b"unheard", masked)
        return Conversation(name, start + bad + ping, sent + [(CLOSE, close(code))], True)

    # Characters of every length, each at the edges of buffers and pieces somewhere.
    text = ("Größe €, 𝄞, plain ASCII. " * 3000).encode()[:65535] + b"."
    binary = bytes(range(251)) * 262
    for length in (0, 5, 125, 126, 200, 65536):
        part = text if length > 200 else b"Hello" * 40
        yield good(f"text of {length} bytes", (TEXT, part[:length]))
        yield good(f"binary of {length} bytes", (BINARY, binary[:length]))
    yield good(
        "fragments with a ping between",
        (TEXT & MORE, b"Hel"),
        (PING, b"between"),
        (CONTINUATION & MORE, b"lo, "),
        (CONTINUATION, b"you"),
    )
    yield good(
        "empty fragments, and one alone behind them",
        (BINARY & MORE, b""),
        (CONTINUATION & MORE, b"abc"),
        (CONTINUATION, b""),
        (TEXT, b"d"),
    )
    yield good(
        "a character in two fragments",
        (TEXT & MORE, b"\xe2\x82"),
        (PING, b"\xff"),
        (CONTINUATION, b"\xac\xf0\x9f\x98\x80"),
        (TEXT, b"\xc3\xa4"),
    )
    yield good("pong ignored", (PONG, b""), (PONG, b"late"), (TEXT, b"after"))
    yield good("pings of 0 and 125 bytes", (PING, b""), (PING, bytes(range(125))))
    yield good("binary that is not UTF-8", (BINARY, b"\xc0\x80\xff"), (TEXT, b"ok"))
    yield good("close without a code", end=[(CLOSE, b"")])
    yield good(
        "close with a reason of 123 bytes", end=[(CLOSE, close(4999, b"\xc3\xa4" * 61 + b"."))]
    )
    for code in (1000, 1003, 1007, 1014, 3000, 4999):
        yield good(f"close code {code}", end=[(CLOSE, close(code))])
    deaf = good("close, then nothing is heard")
    yield deaf._replace(input=deaf.input + frame(TEXT, b"no", masked) + frame(0xFF, b"", masked))
    late = good("a length of 2^31 - 1", end=())
    head = frame(BINARY, b"abc", masked, length=2**31 - 1)
    yield late._replace(input=head, sent=[(BINARY & MORE, b"abc")])

    yield wrong("masked the wrong way", frame(TEXT, b"Hello", not masked))
    for bit in (0x40, 0x20, 0x10):
        yield wrong(f"reserved bit {bit:#x}", (TEXT | bit, b"a"))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield wrong(f"reserved opcode {opcode}", (0x80 | opcode, b""))
    for name, first in (("close", CLOSE), ("ping", PING), ("pong", PONG)):
        yield wrong(f"fragmented {name}", (first & MORE, b""))
        yield wrong(f"{name} of 126 bytes", (first, close(1000) * 63))
    yield wrong("nothing to continue", (CONTINUATION, b"a"))
    yield wrong("continued after the end", (CONTINUATION, b""), before=[(TEXT, b"all")])
    yield wrong("a message within a message", (TEXT, b"b"), before=[(TEXT & MORE, b"a")])
    for length, form in ((0, 126), (125, 126), (0, 127), (125, 127), (126, 127), (65535, 127)):
        bad = frame(BINARY, b"", masked, length, form)
        yield wrong(f"length {length} in form {form}", bad)
    for length in (2**31, 2**32, 2**32 + 5, 2**62, 2**63, 2**64 - 1):
        bad = frame(BINARY, b"", masked, length)
        yield wrong(f"length {length:#x}", bad, 1009)
    yield wrong("text that is not UTF-8", (TEXT, b"ab\xffcd"), 1007, partial=[(TEXT & MORE, b"ab")])
    yield wrong(
        "not UTF-8 in the second fragment",
        (CONTINUATION & MORE, b"\x28"),
        1007,
        before=[(TEXT & MORE, b"\xc3")],
    )
    yield wrong(
        "a character without end", (TEXT, b"a\xe2\x82"), 1007, partial=[(TEXT & MORE, b"a\xe2")]
    )
    yield wrong(
        "a fragment without end", (CONTINUATION, b""), 1007, before=[(TEXT & MORE, b"\xe2\x82")]
    )
    yield wrong("a reason that is not UTF-8", (CLOSE, close(1000, b"\xed\xa0\x80")), 1007)
    yield wrong("a reason without end", (CLOSE, close(1000, b"\xc3")), 1007)
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535):
        yield wrong(f"close code {code}", (CLOSE, close(code)))
    yield wrong("close of one byte", (CLOSE, b"\x03"))


def field_order(head, *order):
    start, *fields = head.split(b"\r\n")[:-2]
    return b"\r\n".join([start] + [fields[i] for i in order]) + b"\r\n\r\n"


def server():
    hello = frame(TEXT, b"Hello")

    def accepted(name, head, splits=True):
        return Conversation(name, head + hello, [(RAW, RESPONSE), (TEXT, b"Hello")], splits=splits)

    def refused(name, status, head):
        return Conversation(
            f"{status}: {name}", head, [(RAW, REFUSAL % status)], True, len(head) < BUFFER
        )

    def without(name):
        lines = REQUEST.split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.lower().startswith(name))

    def changed(old, new):
        assert old in REQUEST
        return REQUEST.replace(old, new, 1)

    def filled(length):
        fill = b"X: " + b"x" * (length - len(REQUEST) - 5) + b"\r\n"
        return changed(b"Host:", fill + b"Host:")

    yield accepted("RFC 6455 section 1.3", REQUEST)
    yield accepted("fields in another order", field_order(REQUEST, 4, 3, 2, 1, 0))
    yield accepted(
        "names and values in another case", changed(b"Upgrade: websocket", b"uPGRADE: WebSocket")
    )
    yield accepted("one of several connection options", changed(b"n: Up", b"n: keep-alive, \t, up"))
    yield accepted("white space around values", changed(b": 13", b":\t13 \t"))
    yield accepted("no white space before a value", changed(b"Host: ", b"Host:"))
    yield accepted("several protocols", changed(b"websocket", b"h2c, websocket"))
    yield accepted("absolute form", changed(b"/chat", b"HTTP://example.com/chat"))
    yield accepted(
        "a browser's fields",
        changed(b"Host:", b'Origin: http://a.b\r\nCookie: c="d,e"; f\r\nHost:'),
    )
    yield accepted("bytes of a value over 0x7f", changed(b"Host:", b"X: \x80\xff\r\nHost:"))
    yield accepted("a head as long as the buffer", filled(BUFFER), False)

    yield refused("plain GET", 426, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    yield refused("no Upgrade", 426, without(b"upgrade"))
    yield refused("Upgrade to something else", 426, changed(b"websocket", b"h2c"))
    yield refused("HTTP/1.0", 426, changed(b"HTTP/1.1", b"HTTP/1.0"))
    yield refused("no version", 426, without(b"sec-websocket-version"))
    yield refused("version 8", 426, changed(b"13", b"8"))
    yield refused("version 130", 426, changed(b"13", b"130"))
    yield refused("POST", 405, changed(b"GET", b"POST"))
    yield refused("get", 405, changed(b"GET", b"get"))
    yield refused("no Host", 400, without(b"host"))
    yield refused("two Hosts", 400, changed(b"Host:", b"Host: a\r\nHost:"))
    yield refused("no Connection: Upgrade", 400, changed(b"n: Upgrade", b"n: close"))
    yield refused("no key", 400, without(b"sec-websocket-key"))
    yield refused(
        "two keys", 400, changed(b"Host:", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost:")
    )
    for key in (
        b"dGhlIHNhbXBsZSBub25jZR==",
        b"dGhlIHNhbXBsZSBub25jZQ=",
        b"dGhlIHNhbXBsZSBub25j!Q==",
        b"a",
        b"",
    ):
        yield refused(f"key {key.decode()}", 400, changed(b"dGhlIHNhbXBsZSBub25jZQ==", key))
    yield refused("HTTP/2.0", 505, changed(b"HTTP/1.1", b"HTTP/2.0"))
    yield refused("a head over the buffer", 431, filled(BUFFER + 1))
    yield refused("a line over the buffer", 431, b"GET /" + b"a" * 1100)
    yield refused("bare LF", 400, REQUEST.replace(b"\r\n", b"\n"))
    yield refused("bare LF in a field", 400, changed(b"example.com\r\n", b"example.com\n"))
    yield refused("bare CR", 400, changed(b"example.com", b"example\r.com"))
    yield refused("NUL", 400, changed(b"example.com", b"example\0.com"))
    yield refused("DEL", 400, changed(b"example.com", b"example\x7f.com"))
    yield refused("a folded line", 400, changed(b"Upgrade: w", b"Upgrade:\r\n w"))
    yield refused("a line without a colon", 400, changed(b"Host:", b"Hello\r\nHost:"))
    yield refused("white space before a colon", 400, changed(b"Host:", b"Host :"))
    yield refused("a name that is no token", 400, changed(b"Host:", b"X(: y\r\nHost:"))
    yield refused("no name", 400, changed(b"Host:", b": y\r\nHost:"))
    yield refused("an empty line first", 400, b"\r\n" + REQUEST)
    yield refused("no target", 400, changed(b"/chat ", b""))
    yield refused("no version of HTTP", 400, changed(b" HTTP/1.1", b""))
    yield refused("a target that names no resource", 400, changed(b"/chat", b"chat"))
    yield refused("a target with a fragment", 400, changed(b"/chat", b"/chat#a"))
    yield refused("TLS", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    for one in talk(True):
        yield one._replace(input=REQUEST + one.input, sent=[(RAW, RESPONSE)] + one.sent)


def client():
    hello = frame(TEXT, b"Hello", False)
    request = (RAW, REQUEST)

    def accepted(name, head):
        return Conversation(f"accepted: {name}", head + hello, [request, (TEXT, b"Hello")])

    def refused(name, head):
        """The job ends without sending a frame."""
        return Conversation(f"refused: {name}", head + hello, [request], True, len(head) < BUFFER)

    def changed(old, new):
        assert old in RESPONSE
        return RESPONSE.replace(old, new, 1)

    accept = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    yield accepted("RFC 6455 section 1.3", changed(b"101 ", b"101 Switching Protocols"))
    yield accepted("no reason", RESPONSE)
    yield accepted("fields in another order", field_order(RESPONSE, 2, 1, 0))
    yield accepted(
        "names and values in another case", changed(b"Upgrade: websocket", b"uPGRADE: WebSocket")
    )
    yield accepted("one of several connection options", changed(b"n: Up", b"n: keep-alive,up"))
    yield accepted("further fields", changed(b"Upgrade:", b"Server: x/1 (y)\r\nDate:\r\nUpgrade:"))

    yield refused("another accept key", changed(accept, accept[:-2] + b"p="))
    yield refused("the start of the accept key", changed(accept, accept[:-1]))
    yield refused("more than the accept key", changed(accept, accept + b"="))
    yield refused("the accept key in another case", changed(accept, accept.swapcase()))
    yield refused(
        "two accept keys", changed(b"Upgrade:", b"Sec-WebSocket-Accept: %b\r\nUpgrade:" % accept)
    )
    yield refused("no accept key", field_order(RESPONSE, 0, 1))
    yield refused("no Upgrade", field_order(RESPONSE, 1, 2))
    yield refused("Upgrade to something else", changed(b"websocket", b"h2c"))
    yield refused("no Connection", field_order(RESPONSE, 0, 2))
    yield refused("Connection: close", changed(b"n: Upgrade", b"n: close"))
    for status in (b"100", b"200", b"301", b"404", b"503", b"10", b"1011"):
        yield refused(f"status {status.decode()}", changed(b"101", status))
    yield refused("HTTP/1.0", changed(b"HTTP/1.1", b"HTTP/1.0"))
    yield refused("HTTP/2.0", changed(b"HTTP/1.1", b"HTTP/2.0"))
    yield refused("no status", changed(b" 101 ", b""))
    yield refused(
        "a subprotocol", changed(b"Upgrade:", b"Sec-WebSocket-Protocol: chat\r\nUpgrade:")
    )
    yield refused(
        "an extension",
        changed(b"Upgrade:", b"Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade:"),
    )
    yield refused("bare LF", RESPONSE.replace(b"\r\n", b"\n"))
    yield refused("NUL", changed(b"Upgrade:", b"X: \0\r\nUpgrade:"))
    yield refused("a folded line", changed(b"Upgrade: w", b"Upgrade:\r\n w"))
    yield refused("a line without a colon", changed(b"Upgrade:", b"Hello\r\nUpgrade:"))
    yield refused("white space before a colon", changed(b"Upgrade:", b"Upgrade :"))
    yield refused("not HTTP", b"\x15\x03\x03\x00\x02\x02\x46")
    long = changed(b"Upgrade:", b"X: %b\r\nUpgrade:" % (b"x" * BUFFER))
    yield refused("a head over the buffer", long)
    for one in talk(False):
        yield one._replace(input=RESPONSE + one.input, sent=[request] + one.sent)


def utf8():
    """Every sequence of bounds of the ranges in RFC 3629, up to its first wrong byte."""
    bounds = bytes.fromhex("007f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff")

    def decodes(data):
        try:
            return bool(data.decode())
        except UnicodeDecodeError:
            return False

    def begins(data):
        return any(
            decodes(data + last * count) for last in (b"\x80", b"\xbf") for count in range(4)
        )

    def failing(name, payload, first, partial):
        sent = [(TEXT & MORE | PARTIAL, partial), (CLOSE, close(1007))]
        return Conversation(name, frame(first, payload), sent, True, False)

    valid = []
    starts = [b""]
    for start in starts:
        name = f"UTF-8 from {start[0]:#x} on" if start else "UTF-8 without a start"
        if start:
            yield failing(name, start, TEXT, start[:-1])
        for byte in bounds:
            data = start + bytes([byte])
            if decodes(data):
                valid.append(data)
            elif begins(data):
                starts.append(data)
            else:
                yield failing(name, data, TEXT & MORE, start)
    for at in range(0, len(valid), 40):
        text = b"".join(valid[at : at + 40])
        yield Conversation("UTF-8 that is valid", frame(TEXT, text), [(TEXT, text)], splits=False)


def masks():
    """Payloads of each length up to 40 at each alignment."""
    for align in range(16):
        for lengths in (range(0, 16), range(16, 24), range(24, 32), range(32, 41)):
            frames = []
            for length in lengths:
                frames += [(PING, b"p" * align), (BINARY, bytes(range(0x7A, 0x7A + length)))]
            data = b"".join(frame(first, payload) for first, payload in frames)
            yield Conversation("masking at every alignment", data, echoed(frames))


JOBS = {"server": server, "client": client, "frames": lambda: chain(talk(True), utf8(), masks())}


def encode(talks, masks, main):
    """What the harness reads: the job's entry `main`, then the conversations."""

    def numbers(*values):
        return struct.pack(f"<{len(values)}I", *values)

    def sized(data):
        return numbers(len(data)) + data

    out = [numbers(main)]
    for talk in talks:
        flags = talk.gives_up * GIVES_UP | talk.splits * SPLITS | masks * MASKS
        items = b"".join(numbers(kind) + sized(payload) for kind, payload in talk.sent)
        out += [numbers(flags), sized(talk.input), sized(items)]
    return sized(b"".join(out))
