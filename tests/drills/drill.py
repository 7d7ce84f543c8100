"""A local stack with faults, and what CloudWatch would know of it."""

import json
import os
import sys
import time
import unittest
import urllib.request
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

from cloudwatch import Metrics, Plan, lines_of  # noqa: E402
from stack import ROOT, TARGET, Client, running  # noqa: E402

NAME = "switchboard"
LIMIT_SECONDS = 30
PLAN = Path(os.environ.get("DRILLS_PLAN") or ROOT / "target" / "terraform" / "plan.json")

# What AWS's services would count and log of what the local stack says of itself. The stack has no CloudWatch of its own:
# these are its lines, by their message.
ENDED = "a function process ended; the next event starts another"
FAILED = "invocation failed"
DISCARDED = "an asynchronous event was discarded after three attempts"
STORE_THROTTLED = "a request to DynamoDB is throttled"
GATEWAY_THROTTLED = "throttled by API Gateway"


class Stack:
    def __init__(self, urls, log, plan):
        self.urls, self.log, self.plan, self.read_from, self.clients = urls, log, plan, 0, []

    def connect(self, user, room="tea", **query):
        self.clients.append(Client(self.urls["websocket"], "switchboard.v1", userId=user, roomId=room, **query))
        return self.clients[-1]

    def follows(self, **faults):
        """Replaces the faults. What was logged before that does not count any more."""
        self.read_from = self.log.stat().st_size
        self.post(f"{self.urls['http']}/_faults", json.dumps(faults).encode())

    @staticmethod
    def post(url, body=b""):
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=LIMIT_SECONDS):
            pass

    def lines(self):
        """The log since the last change of the faults."""
        text = self.log.read_bytes()[self.read_from :].decode()
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def knows(self):
        """The metrics and the log lines of this time."""
        metrics, lines = Metrics(), self.lines()
        for line in list(lines):
            metrics.add_embedded(line)
            lines.extend(self.platform(line, metrics))
        return metrics, lines

    def platform(self, line, metrics):
        """Counts what AWS's services would count of a line of the stack. Yields what Lambda would log."""
        message, failure = line.get("message"), str(line.get("failure", ""))
        gateway = self.plan.alarms[f"{NAME}-websocket-integration-errors"]["dimensions"]
        if message == FAILED and "throttled" in failure:
            metrics.put("AWS/Lambda", "Throttles", 1, FunctionName=NAME)
            metrics.put("AWS/ApiGateway", "ExecutionError", 1, **gateway)
        elif message in (ENDED, FAILED):
            metrics.put("AWS/Lambda", "Errors", 1, FunctionName=NAME)
            metrics.put("AWS/ApiGateway", "ExecutionError", 1, **gateway)
            yield {"message": "Task timed out" if "time" in failure else "Runtime exited with error"}
        elif message == DISCARDED:
            metrics.put("AWS/Lambda", "Errors", 3, FunctionName=NAME)
            for name in ("NumberOfMessagesSent", "ApproximateNumberOfMessagesVisible"):
                metrics.put("AWS/SQS", name, 1, QueueName=f"{NAME}-failures")
        elif message == STORE_THROTTLED and line.get("table"):
            table = f"{NAME}-{line['table']}"
            metrics.put("AWS/DynamoDB", "ThrottledRequests", 1, TableName=table, Operation=line["operation"])
        elif message == GATEWAY_THROTTLED:
            self.plan.filter(line, metrics)


class Drill(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.plan = Plan(PLAN)

    @contextmanager
    def stack(self, *arguments, **settings):
        log = TARGET / "drills.log"
        settings = {"METRICS_NAMESPACE": f"Switchboard/{NAME}", "LOG_LEVEL": "info"} | settings
        with running(None, "--faults", "{}", *arguments, settings=settings, log=log) as urls:
            stack = Stack(urls, log, self.plan)
            try:
                yield stack
            finally:
                for client in stack.clients:
                    client.socket.close()

    def alarms(self, stack):
        """The names of the alarms that start, without the prefix."""
        return {name.removeprefix(f"{NAME}-") for name in self.plan.in_alarm(stack.knows()[0])}

    def is_quiet(self, stack):
        """Without a fault no alarm starts. The schedule does not run in a drill this short, and a busy machine is slow."""
        self.assertEqual(self.alarms(stack) - {"schedule-stopped", "sends-too-slow"}, set())

    def tells(self, stack, alarms, metric, query=None, line=lambda line: True):
        """Waits until all of `alarms` start. There is the metric, and a matching line that the saved query selects."""
        until = time.monotonic() + 2 * LIMIT_SECONDS
        while not set(alarms) <= self.alarms(stack) and time.monotonic() < until:
            time.sleep(0.1)
        metrics, lines = stack.knows()
        self.assertLessEqual(set(alarms), self.alarms(stack), f"no alarm tells of it; metrics: {dict(metrics.points)}")
        self.assertIn(metric, metrics.names())
        found = lines_of(self.plan.queries[f"{NAME}/{query}"], lines) if query else lines
        self.assertTrue([one for one in found if line(one)], f"no line of the query {query} tells of it: {found}")
