"""Compares the examples of the documents with a running stack: every request is sent, every frame is received."""

import json
import os
import queue
import re
import shutil
import subprocess
import threading
import time

from commands import FOLDER
from stack import LIMIT_SECONDS, PROGRAM, ROOT, Client, request, running

# Values that differ in each run. The documents shorten signed URLs.
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "TIME"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\?.*X-Amz-Signature=.*"), "?SIGNED"),
    (re.compile(r"\?t=.*"), "?TICKET"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
    (re.compile(r"[\w-]{15}="), "CONNECTION"),
    (re.compile(r"[0-9a-f]{32}"), "CODE"),
)


def comparable(value):
    if isinstance(value, dict):
        return {name: comparable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str):
        for pattern, name in VARYING:
            value = pattern.sub(name, value)
    elif isinstance(value, int) and value > 10**12:
        return "MILLISECONDS"
    return value


def objects_in(block):
    decoder, text, at = json.JSONDecoder(), block.text, 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        yield value
        at += len(text[at:]) - len(text[at:].lstrip())


class Examples:
    """The examples of a document that are not used yet: requests and frames."""

    def __init__(self, document):
        blocks = [block for block in document.blocks if block.language == "json"]
        self.left = [
            (block.info.removeprefix("json").strip(), frame) for block in blocks for frame in objects_in(block)
        ]

    def request(self, action, **replaced):
        """Takes the next example of an action, with some fields replaced."""
        frame = self._take(
            lambda label, frame: frame.get("action") == action and "type" not in frame, f"request {action}"
        )
        return frame | {name: value for name, value in replaced.items() if name in frame}

    def is_sent(self, frame, label=""):
        """Asserts that a received frame equals the next example of its kind."""
        kind = frame.get("type")
        example = self._take(
            lambda other, known: other == label and known.get("type") == kind and (kind or label),
            f"frame {kind or label}",
        )
        expected, found = comparable(example), comparable(frame)
        assert found == expected, (
            f"the example of {kind or label} is\n  {json.dumps(expected)}, "
            f"but the stack sent\n  {json.dumps(found)}\n  {json.dumps(frame)}"
        )

    def _take(self, wanted, what):
        for at, (label, frame) in enumerate(self.left):
            if wanted(label, frame):
                return self.left.pop(at)[1]
        raise AssertionError(f"no further example of a {what}")


def is_ok(answer):
    assert answer["type"] != "error", answer
    return answer


def admin(urls, *arguments):
    """The answer to a call of `scripts/admin`."""
    key = {"AWS_ACCESS_KEY_ID": urls["accessKeyId"], "AWS_SECRET_ACCESS_KEY": urls["secretAccessKey"]}
    environment = os.environ | key | {"HTTP_URL": urls["http"], "AWS_REGION": urls["region"]}
    command = [ROOT / "scripts" / "admin", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def first_event(urls, kind):
    """The first event of a type that is on the bus."""
    until = time.monotonic() + LIMIT_SECONDS
    while True:
        details = [event["detail"] for event in json.loads(request("GET", urls["events"])[1])]
        found = [detail for detail in details if detail["type"] == kind]
        if found:
            return found[0]
        assert time.monotonic() < until, f"no event {kind} is on the bus"
        time.sleep(0.05)


def examples_are_sent(document):
    """Runs a conversation that uses every example of the document."""
    examples = Examples(document)
    settings = {"ADD_MEMBERS": "invite", "EVENT_BODIES": "on"}
    with running(None, "--events-port", "0", settings=settings) as urls:
        websocket, http = urls["websocket"], urls["http"]
        ana = Client(websocket, "switchboard.v1", userId="ana", username="Ana", userColor="#c33", roomId="tea")
        ben = Client(websocket, "switchboard.v1", userId="ben", username="Ben", roomId="tea")
        examples.is_sent(ana.hear("joined"))
        compat = Client(websocket, userId="ben", username="Ben")

        ana.send(examples.request("ping"))
        examples.is_sent(ana.hear("pong"))
        ana.send(examples.request("hello"))
        examples.is_sent(ana.hear("hello"))
        examples.is_sent(ana.ask({"action": "getMessages", "roomId": "tea", "limit": 0}))
        examples.is_sent(ana.ask(examples.request("refreshToken")))

        examples.is_sent(ana.ask(examples.request("sendMessage")))
        examples.is_sent(compat.hear("message"), "compat")
        examples.is_sent(compat.ask({"action": "roomInfo", "roomId": "tea"}), "compat")
        examples.is_sent(ana.ask(examples.request("roomInfo")))
        examples.is_sent(ben.ask(examples.request("listRooms")))
        ana.send(examples.request("typingIndicator"))
        examples.is_sent(ben.hear("typing"))
        examples.is_sent(ben.ask(examples.request("markRead")))
        examples.is_sent(ana.hear("read"))

        upload = ana.ask(examples.request("handleFileUpload"))
        examples.is_sent(upload)
        status, body = request(upload["method"], upload["uploadUrl"], b"\x89PNG\r\n\x1a\n", upload["headers"])
        assert status == 200, body
        with_file = ana.hear("message")
        examples.is_sent(with_file)
        examples.is_sent(ben.ask(examples.request("getFile", fileId=with_file["file"]["fileId"])))

        is_ok(ana.ask(examples.request("sendMessage")))
        examples.is_sent(ana.ask(examples.request("getMessages")))
        examples.is_sent(ana.ask(examples.request("resume")))
        examples.is_sent(ana.ask(examples.request("sendMessages")))
        examples.is_sent(ana.ask(examples.request("editMessage")))
        examples.is_sent(ben.ask(examples.request("searchMessages")))
        examples.is_sent(ben.ask(examples.request("react")))
        examples.is_sent(ben.ask(examples.request("getReactions")))
        examples.is_sent(ana.ask(examples.request("pinMessage")))
        examples.is_sent(ben.ask(examples.request("listPins")))
        examples.is_sent(ana.ask(examples.request("unpinMessage")))
        examples.is_sent(ana.ask(examples.request("deleteMessage")))
        tablet = Client(websocket, "switchboard.v1", userId="ben", username="Ben")
        examples.is_sent(ana.ask(examples.request("sendMessage")))
        is_ok(ben.ask(examples.request("markUnread")))
        is_ok(ben.ask(examples.request("setNotify", mutedUntil="2999-01-01T00:00:00Z")))
        examples.is_sent(tablet.hear("notify"))
        examples.is_sent(ben.ask(examples.request("unreads")))
        tablet.close()
        examples.is_sent(ana.ask(examples.request("setRoomMode")))
        is_ok(ana.ask(examples.request("renameRoom")))
        is_ok(ana.ask(examples.request("sendMessage")))
        ben.hear(lambda frame: frame.get("content") == "Just for you")
        is_ok(ana.ask(examples.request("getMessages")))
        examples.is_sent(ana.ask(examples.request("sendMessage")))
        is_ok(ana.ask(examples.request("broadcastMessage")))
        ben.hear(lambda frame: frame.get("content") == "Dinner is ready")

        is_ok(ana.ask(examples.request("createRoom")))
        examples.is_sent(ben.hear("invited"))
        dan = Client(websocket, "switchboard.v1", userId="dan")
        is_ok(ana.ask({"action": "sendMessage", "recipientId": "dan", "content": "Hello, stranger"}))
        examples.is_sent(dan.hear("request"))
        eli = Client(websocket, "switchboard.v1", userId="eli")
        is_ok(eli.ask(examples.request("blockUser")))
        examples.is_sent(eli.ask(examples.request("listBlocked")))
        examples.is_sent(ana.ask(examples.request("addMembers")))
        is_ok(eli.ask(examples.request("unblockUser")))
        is_ok(dan.ask(examples.request("declineInvite")))
        is_ok(ana.ask(examples.request("setRole")))
        cho = Client(websocket, "switchboard.v1", userId="cho")
        join = examples.request("joinRoom")
        is_ok(cho.ask(join))
        is_ok(ana.ask(examples.request("removeMember")))
        is_ok(cho.ask(join))
        ben.hear(lambda frame: frame["type"] == "left" and frame["reason"] == "removed")
        is_ok(ana.ask(examples.request("banMember")))
        examples.is_sent(ben.hear("left"))
        is_ok(ana.ask(examples.request("unbanMember")))
        is_ok(cho.ask(join))
        is_ok(ana.ask(examples.request("muteMember", until="2999-01-01T00:00:00Z")))
        is_ok(ana.ask(examples.request("unmuteMember")))
        is_ok(cho.ask(examples.request("reportMessage")))
        is_ok(cho.ask(examples.request("leaveRoom")))

        ben.close()
        compat.close()
        examples.is_sent(ana.hear(lambda frame: frame["type"] == "presence" and frame["roomId"] == "tea"))
        invited = {"userId": "ana", "maxUses": 5}
        status, body = request("POST", f"{http}/rooms/tea/invites", invited)
        assert status == 201, body
        examples.is_sent(json.loads(body), "invite")
        examples.is_sent(ana.ask(examples.request("listInvites")))
        is_ok(ana.ask(examples.request("revokeInvite", invite=json.loads(body)["invite"])))
        dee = Client(websocket, "switchboard.v1", userId="dee", roomId="tea")
        is_ok(ana.ask(examples.request("closeRoom")))
        examples.is_sent(dee.hear("room-closed"))

        room = {
            "userId": "ana",
            "latitude": 37.7749,
            "longitude": -122.4194,
            "roadName": "Main Street",
            "maxParticipants": 15,
        }
        status, body = request("POST", f"{http}/rooms", room)
        assert status == 201, body
        status, body = request("GET", f"{http}/rooms?latitude=37.77&longitude=-122.42")
        examples.is_sent(json.loads(body), "near")
        status, body = request("GET", f"{http}/health")
        examples.is_sent(json.loads(body), "health")
        status, body = request("POST", f"{http}/tickets", {"userId": "eli"})
        assert status == 201, body
        examples.is_sent(json.loads(body), "ticket")
        made = admin(urls, "room", "office", "roomName=Office", "owner=eli", "slowSeconds=5")
        assert (made["roomName"], made["participants"], made["mode"]) == ("Office", ["eli"], {"slowSeconds": 5}), made
        message = {"as": "weather", "rooms": ["nowhere"], "users": ["eli"], "content": "Rain at noon"}
        examples.is_sent(admin(urls, "POST", "/admin/messages", json.dumps(message)), "posted")
        examples.is_sent(admin(urls, "GET", "/admin/users/eli/connections"), "connections")
        examples.is_sent(admin(urls, "GET", "/admin/reports?roomId=tea"), "reports")
        acts = admin(urls, "GET", "/admin/audit")
        acts = {"day": "2026-11-26", "items": acts["items"][:1]}
        examples.is_sent(acts, "audit")
        examples.is_sent(admin(urls, "disconnect", "eli", "--block-until", "2999-01-01T00:00:00Z"), "disconnected")
        examples.is_sent(first_event(urls, "message.created"), "event")
        examples.is_sent(admin(urls, "export", "eli"), "export")
        examples.is_sent(admin(urls, "erase", "eli"), "erasure")
        # The second example of an `ack` is the answer to the message in the lobby.
        assert not examples.left, f"examples that were neither sent nor received: {examples.left}"


# Sends each line of standard input as a message.
SENDS_LINES = """
import { createInterface } from 'node:readline';
const lines = createInterface({ input: process.stdin });
lines.on('line', (content) => send({ action: 'sendMessage', roomId: 'tea', content }));
"""


def client_chats(document):
    """Runs the client of the protocol: it sends, receives, and resumes after a lost connection."""
    node = node_with_websocket()
    (block,) = [block for block in document.blocks if block.language == "js"]
    with running(None, "--faults", limits="off") as urls:
        FOLDER.mkdir(parents=True, exist_ok=True)
        program = FOLDER / "client.mjs"
        program.write_text(block.text.replace("ws://127.0.0.1:7071/dev", urls["websocket"]) + SENDS_LINES)
        # More than 100, the most messages of a room in one answer to `resume`.
        ben = Client(urls["websocket"], "switchboard.v1", userId="ben", username="Ben", roomId="tea")
        for number in range(120):
            is_ok(ben.ask({"action": "sendMessage", "roomId": "tea", "content": f"old {number}"}))
        client = Program([*node, program])
        try:
            client.shows(*[f"Ben: old {number}" for number in range(120)])
            client.types("hello from the client")
            ben.hear(lambda frame: frame.get("content") == "hello from the client")
            client.shows("ana: hello from the client")
            is_ok(ben.ask({"action": "sendMessage", "roomId": "tea", "content": "hello Ana"}))
            client.shows("Ben: hello Ana")
            # The client's socket breaks when it sends the next frame. Messages sent meanwhile arrive through `resume`.
            request("POST", f"{urls['http']}/_faults", {"socketDropped": 1000})
            client.types("lost")
            time.sleep(0.2)
            request("POST", f"{urls['http']}/_faults", {})
            cho = Client(urls["websocket"], "switchboard.v1", userId="cho", roomId="tea")
            is_ok(cho.ask({"action": "sendMessage", "roomId": "tea", "content": "while you were away"}))
            client.shows("cho: while you were away")
            # A repeated event is delivered twice.
            request("POST", f"{urls['http']}/_faults", {"eventRepeated": 1000})
            ben.send({"action": "sendMessage", "roomId": "tea", "content": "once", "clientMessageId": "1"})
            for _ in range(2):
                cho.hear(lambda frame: frame.get("content") == "once")
            request("POST", f"{urls['http']}/_faults", {})
            is_ok(cho.ask({"action": "sendMessage", "roomId": "tea", "content": "the end"}))
            client.shows("cho: the end")
            assert len(client.shown) == len(set(client.shown)), f"a message was shown twice: {client.shown[-5:]}"
        finally:
            client.end()


def node_with_websocket():
    """The command of Node.js with the browser's WebSocket: version 22 has it, version 20.10 with a flag."""
    if not shutil.which("node"):
        raise AssertionError("Node.js 20 or later is needed: https://nodejs.org")
    for node in (["node"], ["node", "--experimental-websocket", "--no-warnings"]):
        if (
            subprocess.run(
                [*node, "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"], capture_output=True
            ).returncode
            == 0
        ):
            return node
    raise AssertionError("this Node.js has no WebSocket: 22 has it, 20.10 with a flag")


class Program:
    """A program that reads lines from standard input and prints lines."""

    def __init__(self, command):
        self.shown, self.lines = [], queue.Queue()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(command, text=True, bufsize=1, **pipes)
        threading.Thread(
            target=lambda: [self.lines.put(line.rstrip("\n")) for line in self.process.stdout], daemon=True
        ).start()

    def types(self, line):
        self.process.stdin.write(line + "\n")

    def shows(self, *wanted):
        until = time.monotonic() + LIMIT_SECONDS
        while missing := [line for line in wanted if line not in self.shown]:
            try:
                self.shown.append(self.lines.get(timeout=max(0.01, until - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"{missing[0]!r} was not printed; last lines: {self.shown[-5:]}") from None

    def end(self):
        self.process.kill()
        self.process.wait()


def flags(document):
    """Flags of `cargo run` that the document names but the program does not have."""
    section = document.text.split("\n## Run it\n")[1].split("\n## ")[0]
    table = re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE)
    named = set(table + re.findall(r"`(--[a-z-]+)[ `]", section))
    known = subprocess.run([PROGRAM, "--help"], check=True, capture_output=True, text=True).stdout
    return [
        f"README.md: `cargo run` has no flag {flag}"
        for flag in sorted(named)
        if not re.search(rf"{flag}\b(?!-)", known)
    ]


def ten_lines_chat(document):
    """Runs the ten lines of JavaScript: the other users and the sender receive the message."""
    node = node_with_websocket()
    (block,) = [block for block in document.blocks if block.language == "js"]
    with running() as urls:
        FOLDER.mkdir(parents=True, exist_ok=True)
        program = FOLDER / "ten-lines.mjs"
        # Node.js 20 has the browser's `crypto` only in a module.
        program.write_text(
            "import { webcrypto } from 'node:crypto';\nglobalThis.crypto ??= webcrypto;\n"
            + block.text.replace("ws://127.0.0.1:7071/dev", urls["websocket"])
        )
        ben = Client(urls["websocket"], "switchboard.v1", userId="ben", username="Ben", roomId="tea")
        chat = Program([*node, program])
        try:
            ben.hear(lambda frame: frame.get("content") == "hello")
            chat.shows("cho: hello")
            is_ok(ben.ask({"action": "sendMessage", "roomId": "tea", "content": "hi Cho"}))
            chat.shows("Ben: hi Cho")
        finally:
            chat.end()


def run_all(readme, protocol):
    """Yields each check with its document and outcome, and the problem if it failed."""
    for name, document, check in (
        ("the ten lines of JavaScript", readme, ten_lines_chat),
        ("the client in JavaScript", protocol, client_chats),
        ("the examples of frames", protocol, examples_are_sent),
    ):
        try:
            check(document)
        except (AssertionError, RuntimeError, OSError) as problem:
            yield document.path, name, "failed", str(problem)
        else:
            yield document.path, name, "ok", None
