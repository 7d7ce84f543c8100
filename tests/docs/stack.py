"""The local stack on free ports, and a WebSocket client for it, with Python's standard library only."""

import base64
import json
import os
import select
import socket
import struct
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
PROGRAM = TARGET / "debug" / "local"
PORTS = ("http", "websocket", "dynamodb", "s3", "lambda")
LIMIT_SECONDS = 30
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


def build():
    subprocess.run(["cargo", "build", "--quiet", "--locked"], cwd=ROOT, check=True)


@contextmanager
def running(command=None, *arguments, lines_before=0, limits=None, settings=None, log=TARGET / "docs.log"):
    """Starts a stack and yields the JSON that it prints: `http`, `websocket`, `dynamodb`, `s3` and others, by name.

    `limits` is the value of `LIMITS`. The file `log` gets the stack's log.
    """
    ports = [word for name in PORTS for word in (f"--{name}-port", "0")]
    # Settings in the developer's shell must not affect the test.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ADD_MEMBERS", "AUTH_MODE", "JWT_SECRET", "LIMITS", "LOBBY", "TICKET_SECRET")
    } | (settings or {})
    if limits:
        environment["LIMITS"] = limits
    with log.open("w") as stderr:
        stack = subprocess.Popen(
            command or [PROGRAM, "--json", *ports, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        before = [stack.stdout.readline().strip() for _ in range(lines_before)]
        line = stack.stdout.readline()
        if not line:
            raise RuntimeError(f"the local stack did not start: {log.read_text()}")
        yield (before, json.loads(line)) if lines_before else json.loads(line)
    finally:
        stack.terminate()
        stack.wait()


def request(method, url, body=None, headers=None):
    """The status and the body of a response, also of an error."""
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    outgoing = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(outgoing, timeout=LIMIT_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


class Client:
    """A user with a WebSocket. It implements RFC 6455 without fragments, which API Gateway does not send."""

    def __init__(self, url, *subprotocols, **query):
        self.frames = []
        parsed = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parsed.hostname, parsed.port), timeout=LIMIT_SECONDS)
        self.buffer = b""
        headers = [
            f"GET {parsed.path}?{urllib.parse.urlencode(query)} HTTP/1.1".replace("? ", " "),
            f"Host: {parsed.netloc}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            *[f"Sec-WebSocket-Protocol: {name}" for name in subprotocols],
        ]
        self.socket.sendall("\r\n".join([*headers, "", ""]).encode())
        while b"\r\n\r\n" not in self.buffer:
            self._read()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"the handshake was refused: {head.splitlines()[0].decode()} {self.buffer.decode()}")

    def send(self, frame):
        payload = (frame if isinstance(frame, str) else json.dumps(frame)).encode()
        self._send(TEXT, payload)

    def ask(self, frame):
        """The answer to a frame, matched by `requestId`, without that field."""
        request_id = os.urandom(8).hex()
        self.send(frame | {"requestId": request_id})
        answer = self.hear(lambda frame: frame.get("requestId") == request_id)
        return {name: value for name, value in answer.items() if name != "requestId"}

    def hear(self, wanted):
        """Takes the first received frame that matches `wanted`, a type or a predicate."""
        test = wanted if callable(wanted) else lambda frame: frame.get("type") == wanted
        until = time.monotonic() + LIMIT_SECONDS
        while True:
            for index, frame in enumerate(self.frames):
                if test(frame):
                    return self.frames.pop(index)
            if time.monotonic() > until:
                raise RuntimeError(f"{wanted} did not arrive; received: {self.frames}")
            self._take_frame()

    def close(self):
        self._send(CLOSE, struct.pack("!H", 1000))
        self.socket.close()

    def _send(self, opcode, payload):
        mask = os.urandom(4)
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else struct.pack("!BH", 0x80 | 126, len(payload))
        self.socket.sendall(
            bytes([0x80 | opcode]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        )

    def _read(self):
        ready, _, _ = select.select([self.socket], [], [], LIMIT_SECONDS)
        received = self.socket.recv(65536) if ready else b""
        if not received:
            raise RuntimeError(
                f"the connection was closed, or received nothing for {LIMIT_SECONDS} seconds; received: {self.frames}"
            )
        self.buffer += received

    def _bytes(self, count):
        while len(self.buffer) < count:
            self._read()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _take_frame(self):
        first, length = self._bytes(2)
        if length == 126:
            (length,) = struct.unpack("!H", self._bytes(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._bytes(8))
        payload = self._bytes(length)
        opcode = first & 0xF
        if opcode == PING:
            self._send(PONG, payload)
        elif opcode == CLOSE:
            raise RuntimeError(f"the server closed the connection: {struct.unpack('!H', payload[:2])}")
        elif opcode == TEXT:
            self.frames.append(json.loads(payload) if payload[:1] in b"{[" else {"text": payload.decode()})
