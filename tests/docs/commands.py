"""Runs the commands of the documents against a real stack, or reports why one is not run."""

import json
import os
import queue
import re
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from stack import LIMIT_SECONDS, PORTS, ROOT, TARGET, Client, request, running

# In the documents, each of them has its default port.
DEFAULT_PORTS = dict(zip(PORTS, (7070, 7071, 7072, 7073, 7074)))
SHELL_LANGUAGES = ("sh", "bash", "shell", "console")
FOLDER = TARGET / "docs"


@dataclass
class NotRun:
    """A block that is not run, and the reason, which is printed."""

    reason: str


class Skipped(Exception):
    """A requirement of a block is not installed on this machine."""


class World:
    """The state that blocks share: the running stack, and results of earlier blocks."""

    def __init__(self, sample):
        # The frame that a user sends according to the document.
        self.sample = sample
        self.stack = {}
        self.secret = None
        self.room = None

    def text_of(self, block):
        """The block, with the ports and values of the running stack."""
        text = block.text
        for name, port in DEFAULT_PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", urlsplit(self.stack[name]).netloc)
        values = {
            "THE_ID": self.stack.get("accessKeyId", "test"),
            "THE_SECRET": self.stack.get("secretAccessKey", "test"),
            "THE_ROOM_ID": self.room,
        }
        for name, value in values.items():
            text = re.sub(rf"\b{name}\b", lambda _: str(value), text)
        return text

    def environment(self):
        path = f"{FOLDER / 'bin'}:{os.environ['PATH']}"
        return os.environ | {"PATH": path} | ({"JWT_SECRET": self.secret} if self.secret else {})

    def run(self, block):
        """The output of a block. It must succeed and contain no error response."""
        shell = ["bash", "-euo", "pipefail", "-c", self.text_of(block)]
        done = subprocess.run(shell, cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"exit status {done.returncode}: {done.stdout}{done.stderr}")
        if errors := errors_in(done.stdout):
            raise AssertionError(f"error response: {errors[0]}")
        return done.stdout


def values_in(text):
    """The JSON objects in a text, ignoring the text around them."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
            yield value
        except json.JSONDecodeError:
            at += 1


def errors_in(text):
    """The error responses of Switchboard and of API Gateway in a text."""
    return [
        value
        for value in values_in(text)
        if "code" in value or set(value) == {"message"} or "connectionId" in value and "type" not in value
    ]


# Runners of single blocks. Each takes the world and the block.


def curl(world, block):
    answers = list(values_in(world.run(block)))
    assert answers, "no response"
    world.room = world.room or answers[0].get("roomId")


def aws(world, block):
    if not shutil.which("aws"):
        raise Skipped("the AWS CLI is not installed")
    put_a_file(world)
    printed = world.run(block)
    tables = list(values_in(printed))
    assert tables and tables[0]["Count"] > 0, f"the scan found nothing: {printed}"
    assert "rooms/tea/" in printed, f"the bucket contains no file: {printed}"


def wscat(world, block):
    """Each line is a user. The first one sends the document's frame, and all users receive it."""
    install_wscat()
    lines = world.text_of(block).splitlines()
    users = [Terminal(line, world.environment()) for line in lines]
    try:
        for user in users:
            user.is_connected()
        users[0].send(world.sample)
        content = json.loads(world.sample)["content"]
        for user in users:
            user.hears(lambda frame: frame.get("content") == content)
        for user in users:
            assert not errors_in("\n".join(user.received)), user.received
    finally:
        for user in users:
            user.end()


class Terminal:
    """A wscat command, run as in a terminal."""

    def __init__(self, line, environment):
        self.received, self.lines = [], queue.Queue()
        command = ["bash", "-c", line]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, bufsize=1, start_new_session=True, **pipes
        )
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()

    def is_connected(self):
        """Pings until the answer arrives: wscat drops input until it is connected."""
        until = time.monotonic() + 2 * LIMIT_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            self.send('{"action":"ping"}')
            if self.next(0.3, lambda frame: frame.get("type") == "pong"):
                return
        raise AssertionError(f"wscat did not connect: {self.received}")

    def hears(self, wanted):
        assert self.next(LIMIT_SECONDS, wanted), f"the frame did not arrive; received: {self.received}"

    def next(self, seconds, wanted):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                return False
            self.received.append(line)
            if any(wanted(frame) for frame in values_in(line)):
                return True
        return False

    def send(self, frame):
        try:
            self.process.stdin.write(frame + "\n")
        except BrokenPipeError:
            raise AssertionError(f"wscat exited: {self.received}") from None

    def end(self):
        os.killpg(self.process.pid, 15)
        self.process.wait()


def install_wscat():
    """Puts an `npx` first in PATH that runs the wscat of tests/smoke, so that no run downloads it."""
    if not shutil.which("npm"):
        raise Skipped("Node.js with npm is not installed")
    smoke, installed = ROOT / "tests" / "smoke", TARGET / "smoke"
    lock = (smoke / "package-lock.json").read_text()
    if not (installed / "installed").exists() or (installed / "installed").read_text() != lock:
        print("installing wscat into target/smoke (once; it takes a few seconds)", flush=True)
        installed.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(smoke / name, installed)
        install = [
            "npm",
            "ci",
            "--prefix",
            installed,
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]
        if subprocess.run(install, stdout=subprocess.DEVNULL).returncode != 0:
            raise Skipped("npm cannot install wscat")
        (installed / "installed").write_text(lock)
    version = json.loads((smoke / "package.json").read_text())["dependencies"]["wscat"]
    npx = FOLDER / "bin" / "npx"
    npx.parent.mkdir(parents=True, exist_ok=True)
    npx.write_text(
        "#!/usr/bin/env bash\n"
        f'[[ "$1 $2" == "-y wscat@{version}" ]] || '
        '{ echo "npx $1 $2 is not the version that tests/smoke installs" >&2; exit 1; }\n'
        f'exec node "{installed}/node_modules/wscat/bin/wscat" "${{@:3}}"\n'
    )
    npx.chmod(0o755)


# Stacks. `stack_of` runs each block that starts one; the following blocks use that stack.

PRINTS_SECRET = 'printf "%s\\n" "${JWT_SECRET:-}"\n'


@contextmanager
def stack_of(world, block):
    """Runs a block that starts a stack, on free ports and with `--json`, which prints the URLs."""
    *before, last = block.text.strip().splitlines()
    assert last.endswith("cargo run"), f"the last line does not start a stack: {last}"
    ports = " ".join(f"--{name}-port 0" for name in PORTS)
    start = last.replace("cargo run", f"exec cargo run --quiet --locked -- --json {ports}")
    # The shell does not accept `VARIABLE=value exec`.
    start = re.sub(r"^((?:\w+=\S+ )+)exec ", r"exec env \1", start)
    script = "\n".join([*before, PRINTS_SECRET + start])
    command = ["bash", "-euo", "pipefail", "-c", script]
    with running(command, lines_before=1) as ([secret], world.stack):
        world.secret = secret or None
        yield


def commands_of_readme():
    """The runner of each block of README.md, in the order of the document."""
    return {
        "cargo run": stack_of,
        "npx -y wscat@6.1.0 -c 'ws://127.0.0.1:7071/dev?userId=ana&roomId=tea'": wscat,
        "export AWS_ACCESS_KEY_ID=THE_ID AWS_SECRET_ACCESS_KEY=THE_SECRET": aws,
        "curl -X POST http://127.0.0.1:7070/rooms -d '{": curl,
        'curl -X POST http://127.0.0.1:7070/rooms/join -d \'{ "roomId": "THE_ROOM_ID", "userId": "ben" }\'': curl,
        "export JWT_SECRET=$(head -c 32 /dev/urandom | base64)": stack_of,
        'npx -y wscat@6.1.0 -c "ws://127.0.0.1:7071/dev?roomId=tea&token='
        '$(scripts/token --sub ana --name Ana --roles admin)"': wscat,
        "scripts/test": NotRun("this check is part of it"),
        "export STATE_BUCKET=my-team-terraform-state   # where Terraform keeps its state": NotRun(
            "it deploys to AWS; tests/scripts tests it"
        ),
    }


TO_AWS = NotRun("it needs an AWS account; tests/terraform applies the same configuration to an emulated one")

COMMANDS = {
    "README.md": commands_of_readme(),
    "tests/README.md": {
        "scripts/test": NotRun("this check is part of it"),
        "cargo test --release --test consistency -- --seed 1 --seeds 200": NotRun(
            "it takes hours; the check `consistency` runs one seed"
        ),
        "INDEX_LAG_MS=300 cargo test --test chat": NotRun(
            "it takes too long; the indexes are as far behind in the check `consistency`"
        ),
        'cargo test --release --test consistency -- --seeds 20 --before "$(tests/consistency/build-before)"': NotRun(
            "it builds an earlier release and takes hours; the check `consistency` runs one seed"
        ),
        "cargo test --release --test crashes -- --all": NotRun(
            "it takes a quarter of an hour; the check `crashes` runs a few routes"
        ),
        "node tests/client/faults.mjs --clients 20 --operations 100 --seeds 50": NotRun(
            "it takes hours; the check `client` runs one seed with fewer clients"
        ),
        "npx -y node@22 --test --test-concurrency=1 tests/client/*.test.mjs": NotRun(
            "it downloads another Node.js; the check `client` runs the same with the one that is installed"
        ),
        "cargo test --release --test load": NotRun("it takes too long; the check `load` runs it with fewer sockets"),
        "scripts/bench": NotRun("it takes half an hour and needs an idle machine"),
    },
    "src/local/README.md": {
        "EVENT_BODIES=on cargo run -- --webhook http://127.0.0.1:8080/events": NotRun(
            "tests/chat/events.rs starts a stack with a webhook"
        ),
        "cargo run -- --issuer-port 7075": NotRun("tests/chat/program.rs starts a stack with an issuer"),
        'npx -y wscat@6.1.0 -c "ws://127.0.0.1:7071/dev?roomId=tea&token=$(scripts/token --rs256 --sub ana --name Ana)"': (
            NotRun("tests/chat/program.rs connects with such a token")
        ),
        "export AWS_ACCESS_KEY_ID=THE_ID AWS_SECRET_ACCESS_KEY=THE_SECRET AWS_DEFAULT_REGION=us-east-1": aws
    },
    "terraform/README.md": {
        "export AWS_REGION=eu-west-1 STATE_BUCKET=my-team-terraform-state": TO_AWS,
        "head -c 32 /dev/urandom | base64": NotRun("it installs a Rust target"),
        "export TF_VAR_jwt_secret=...   # the one that you keep": TO_AWS,
        'JWT_SECRET=$TF_VAR_jwt_secret scripts/smoke "$(scripts/terraform output -raw websocket_url)" \\': TO_AWS,
        "scripts/bootstrap-account --github OWNER/REPOSITORY": TO_AWS,
        "scripts/release --to 41 --at-once": NotRun("it needs an AWS account; tests/scripts tests it"),
        "scripts/deploy --zip target/lambda/switchboard-1a2b3c4-arm64.zip": TO_AWS,
        "export TF_VAR_jwt_secret_previous=$TF_VAR_jwt_secret": TO_AWS,
        "scripts/deploy -var protect=false": TO_AWS,
    },
    "terraform/RUNBOOK.md": {
        "scripts/release --to 41 --at-once": NotRun("it needs an AWS account; tests/scripts tests it"),
        "scripts/redrive --list": NotRun("it needs an AWS account; tests/drills runs it"),
        "scripts/restore 2026-11-27T12:00:00Z switchboard-r1": TO_AWS,
        "scripts/terraform force-unlock LOCK_ID": NotRun("it needs a locked state"),
    },
}


def unlisted(documents, known):
    """Blocks without a runner or a reason, and listed blocks that no longer exist."""
    for document in documents:
        names = [block.name for block in document.blocks if block.language in SHELL_LANGUAGES]
        listed = known.get(document.path, {})
        for name in names:
            if name not in listed:
                yield f"{document.path}: a block is neither run nor has a reason in tests/docs/commands.py: {name}"
        for name in listed:
            if name not in names:
                yield f"{document.path}: tests/docs/commands.py lists a block that does not exist: {name}"


def run_all(document):
    """Runs the blocks of a document in order. Yields each with its outcome, and the problem if it failed."""
    samples = [block.text.strip() for block in document.blocks if block.language == "json"]
    world = World(sample=samples[0] if samples else None)
    with ExitStack() as stacks:
        for block in document.blocks:
            if block.language not in SHELL_LANGUAGES:
                continue
            how = COMMANDS[document.path][block.name]
            if isinstance(how, NotRun):
                yield block.name, f"not run: {how.reason}", None
                continue
            try:
                if how is stack_of:
                    stacks.close()
                    stacks.enter_context(stack_of(world, block))
                else:
                    if not world.stack:
                        world.stack = stacks.enter_context(running())
                    how(world, block)
            except Skipped as problem:
                yield block.name, f"NOT RUN: {problem}", None
            except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as problem:
                yield block.name, "failed", str(problem)
            else:
                yield block.name, "ok", None


def put_a_file(world):
    """Uploads a file, so that the bucket is not empty."""
    client = Client(world.stack["websocket"], "switchboard.v1", userId="fay", roomId="tea")
    frame = {
        "action": "handleFileUpload",
        "roomId": "tea",
        "fileName": "tea.txt",
        "contentType": "text/plain",
        "size": 3,
    }
    upload = client.ask(frame)
    status, _ = request(upload["method"], upload["uploadUrl"], b"tea", upload["headers"])
    assert status == 200, status
    client.hear("message")
    client.close()
