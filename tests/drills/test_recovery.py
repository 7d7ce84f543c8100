"""The failure queue and restored logs, as terraform/RUNBOOK.md describes: SQS is emulated, the rest is the local stack."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

import boto3

from drill import DISCARDED, LIMIT_SECONDS, Drill
from stack import ROOT, request
from test_drills import UPLOAD, says

QUEUE = "switchboard-failures"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Recovery(Drill):
    def aws(self, stack):
        """The settings of the AWS CLI and of SDKs for the stack."""
        return {
            "AWS_ACCESS_KEY_ID": stack.urls["accessKeyId"],
            "AWS_SECRET_ACCESS_KEY": stack.urls["secretAccessKey"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_LAMBDA": stack.urls["lambda"],
            "AWS_ENDPOINT_URL_DYNAMODB": stack.urls["dynamodb"],
        }

    def emulated_sqs(self):
        url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", url.rsplit(":", 1)[1]]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        until = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
                return url
            except OSError:
                self.assertLess(time.monotonic(), until, "the emulated SQS does not start")
                time.sleep(0.1)

    def test_events_in_the_failure_queue_are_sent_again(self):
        url = self.emulated_sqs()
        with self.stack() as stack:
            ana = stack.connect("ana")
            stack.follows(fileRefused=1000)
            upload = ana.ask(UPLOAD)
            self.assertEqual(request(upload["method"], upload["uploadUrl"], b"tea", upload["headers"])[0], 200)
            until = time.monotonic() + LIMIT_SECONDS
            while not [line for line in stack.lines() if line.get("message") == DISCARDED]:
                self.assertLess(time.monotonic(), until, "the event was not discarded")
                time.sleep(0.1)
            stack.follows()

            # Lambda writes the event, as it was, into the queue.
            bucket, key = urllib.parse.urlsplit(upload["uploadUrl"]).path[1:].split("/", 1)
            record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
            record |= {"eventTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())}
            event = {"Records": [record | {"s3": {"bucket": {"name": bucket}, "object": {"key": key}}}]}
            environment = os.environ | self.aws(stack) | {"AWS_ENDPOINT_URL_SQS": url}
            keys = {name.lower(): environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
            sqs = boto3.client("sqs", endpoint_url=url, region_name="us-east-1", **keys)
            queue = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
            sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event))

            done = self.redrive(environment)
            self.assertIn("aws:s3", done.stdout)
            self.assertIn(key, done.stdout)
            self.assertEqual(ana.hear("message")["file"]["fileId"], upload["fileId"])
            self.assertEqual(sqs.receive_message(QueueUrl=queue).get("Messages"), None)
            self.assertIn("0 sent again", self.redrive(environment).stderr)

    def redrive(self, environment):
        # Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL_SQS.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        wrapper = Path(folder.name) / "aws"
        wrapper.write_text(
            "#!/usr/bin/env bash\n[[ $1 != sqs ]] || set -- --endpoint-url \"$AWS_ENDPOINT_URL_SQS\" \"$@\"\n"
            f'exec "{shutil.which("aws")}" "$@"\n'
        )
        wrapper.chmod(0o755)
        environment = environment | {"PATH": f"{folder.name}:{environment['PATH']}"}
        command = [sys.executable, ROOT / "scripts" / "redrive"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_clients_begin_again_after_a_restore(self):
        """A log that was restored gives seqs again: a client that knows later ones drops them."""
        with self.stack() as stack:
            ana = stack.connect("ana")
            for text in ("kept", "lost", "lost too"):
                seq = says(ana, text)["seq"]
            seen = ana.ask({"action": "resume", "rooms": {"tea": 0}})["rooms"]["tea"]["epoch"]
            environment = os.environ | self.aws(stack)
            # As if the tables were those of a moment after the first message.
            self.forget(environment, after=1)
            raised = subprocess.run(
                [sys.executable, "-c", RAISE], env=environment | {"SCRIPTS": str(ROOT / "scripts")},
                capture_output=True, text=True,
            )
            self.assertEqual(raised.returncode, 0, raised.stderr)

            # New messages get the seqs of the lost ones. Without another epoch, `after: 3` would miss them.
            ben = stack.connect("ben")
            for text in ("new", "newer", "newest"):
                self.assertLessEqual(says(ben, text)["seq"], 4)
            resumed = ana.ask({"action": "resume", "rooms": {"tea": {"seq": seq, "epoch": seen}}})["rooms"]["tea"]
            self.assertTrue(resumed["reset"], resumed)
            self.assertNotEqual(resumed["epoch"], seen)
            self.assertEqual([item["content"] for item in resumed["items"]], ["kept", "new", "newer", "newest"])

    @staticmethod
    def forget(environment, after):
        keys = {name.lower(): environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        url = environment["AWS_ENDPOINT_URL_DYNAMODB"]
        dynamodb = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", **keys)
        for item in dynamodb.scan(TableName="Messages")["Items"]:
            position = item["messageId"]["S"]
            if position.isdigit() and int(position) > after:
                key = {name: item[name] for name in ("roomId", "messageId")}
                dynamodb.delete_item(TableName="Messages", Key=key)


# The function of scripts/restore, on the tables of the stack.
RAISE = """
import importlib.machinery, importlib.util, os, boto3
loader = importlib.machinery.SourceFileLoader("restore", os.environ["SCRIPTS"] + "/restore")
spec = importlib.util.spec_from_loader("restore", loader)
restore = importlib.util.module_from_spec(spec)
loader.exec_module(restore)
assert restore.raise_epochs(boto3.client("dynamodb"), "ChatRooms", "Messages", 1_800_000_000_000) >= 1
"""


if __name__ == "__main__":
    unittest.main()
