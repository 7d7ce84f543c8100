"""Failures that the local stack produces, and what tells of each: a log line, a metric, an alarm and a saved query.

The metrics are those that the function wrote; the alarms and queries are those of the Terraform plan that the check
`terraform` leaves in target/terraform. Usage: scripts/python -m unittest discover -s tests/drills
"""

import json
import unittest
import urllib.request
from pathlib import Path

from drill import Drill
from stack import request

UPLOAD = {"action": "handleFileUpload", "roomId": "tea", "fileName": "a.txt", "contentType": "text/plain", "size": 3}


def says(user, content="hello"):
    return user.ask({"action": "sendMessage", "roomId": "tea", "content": content})


def uploads(user):
    upload = user.ask(UPLOAD)
    assert request(upload["method"], upload["uploadUrl"], b"tea", upload["headers"])[0] == 200, upload


class Drills(Drill):
    def chat(self, stack):
        """Two users in a room, and a time without faults in which no alarm starts."""
        ana, ben = stack.connect("ana"), stack.connect("ben")
        says(ana)
        ben.hear("message")
        self.is_quiet(stack)
        return ana, ben

    def test_posts_are_refused(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(postFailed=1000)
            self.assertEqual(says(ana)["type"], "message")
            self.tells(stack, ["posts-failed"], "PostsFailed", "failed-deliveries", lambda line: line.get("failed") == 1)

    def test_posts_are_throttled(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(postThrottled=1000)
            says(ana)
            self.tells(
                stack, ["posts-failed"], "PostsFailed", "failed-deliveries", lambda line: "LimitExceeded" in str(line)
            )

    def test_one_of_many_posts_that_fails_is_no_alarm(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            others = [stack.connect(f"user-{number}") for number in range(20)]
            stack.follows(postFailed=0)
            says(ana)
            others[-1].hear("message")
            metrics = stack.knows()[0]
            metrics.put("Switchboard/switchboard", "PostsFailed", 1)
            self.assertFalse({name for name in self.plan.in_alarm(metrics) if "posts" in name})

    def test_dynamodb_throttles(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(storeThrottled=1000)
            self.assertEqual(says(ana)["code"], "UNAVAILABLE")
            self.tells(
                stack, ["answers-failed", "dynamodb-throttles", "sends-too-slow"], "Failures", "failures",
                lambda line: "ProvisionedThroughputExceeded" in line["error"],
            )

    def test_the_table_of_rate_limits_fails(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(storeThrottled=1000, storeThrottledOperations=["UpdateItem"])
            for _ in range(4):
                ana.ask({"action": "roomInfo", "roomId": "tea"})
            self.tells(stack, ["rate-limits-failed", "dynamodb-throttles"], "LimitsFailed")

    def test_s3_refuses(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(fileRefused=1000)
            uploads(ana)
            self.tells(
                stack, ["function-errors", "dead-letters", "dead-letters-new"], "Failures", "failures",
                lambda line: line["route"] == "ObjectCreated" and "403" in line["error"],
            )

    def test_the_function_crashes(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(functionKilledBefore=1000)
            ana.send({"action": "ping"})
            ana.hear(lambda frame: frame.get("message") == "Internal server error")
            self.tells(stack, ["function-errors", "websocket-integration-errors"], "Errors", "crashes")

    def test_the_function_times_out(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(functionTimeoutMs=1)
            ana.send({"action": "roomInfo", "roomId": "tea"})
            ana.hear(lambda frame: frame.get("message") == "Internal server error")
            self.tells(stack, ["function-errors", "websocket-integration-errors"], "Errors", "crashes")

    def test_the_function_is_throttled(self):
        with self.stack("--concurrency", "1", "--throttle") as stack:
            ana, _ = self.chat(stack)
            stack.follows(storeLatency={"medianMs": 500})
            for number in range(8):
                ana.send({"action": "roomInfo", "roomId": "tea", "requestId": str(number)})
            ana.hear(lambda frame: frame.get("message") == "Internal server error")
            self.tells(stack, ["function-throttles"], "Throttles")

    def test_a_permission_is_missing(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(storeDenied=1000)
            says(ana)
            self.tells(stack, ["answers-failed"], "Failures", "failures", lambda line: "AccessDenied" in line["error"])

    def test_the_schedule_has_stopped(self):
        with self.stack("--schedule-seconds", "1") as stack:
            while "schedule-stopped" in self.alarms(stack):
                says(stack.connect("ana"))
        with self.stack("--schedule-seconds", "3600") as stack:
            says(stack.connect("ana"))
            self.tells(stack, ["schedule-stopped"], "Duration")

    def test_the_failure_queue_fills(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            uploads(ana)
            for _ in range(2):
                stack.follows(fileRefused=1000)
                # A new event in a later period starts the second alarm again.
                uploads(ana)
                self.tells(stack, ["dead-letters", "dead-letters-new"], "NumberOfMessagesSent", "failures")

    def test_an_issuer_is_down(self):
        with self.stack("--issuer-port", "0") as stack:
            issuer = stack.urls["issuer"]
            with urllib.request.urlopen(f"{issuer}/token?sub=ana") as answer:
                token = json.load(answer)["access_token"]
            stack.post(f"{issuer}/down")
            with self.assertRaisesRegex(RuntimeError, "503"):
                stack.connect("ana", token=token)
            self.tells(
                stack, ["answers-failed"], "Failures", "failures",
                lambda line: line["route"] == "$connect" and line["code"] == "UNAVAILABLE" and line["error"],
            )

    def test_a_room_is_flooded(self):
        # Typing indicators: who is refused too many messages is disconnected, which would end the flood.
        with self.stack(LIMITS="typing=1/min") as stack:
            self.chat(stack)
            for number in range(6):
                eve = stack.connect(f"eve-{number}")
                for _ in range(90):
                    eve.send({"action": "typingIndicator", "roomId": "tea"})
            self.tells(
                stack, ["rate-limited"], "RateLimited", "flooded-rooms", lambda line: line["user_id"].startswith("eve")
            )

    def test_the_quota_of_the_region_is_reached(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(gatewayThrottled=1000)
            ana.send({"action": "ping"})
            ana.hear(lambda frame: frame.get("message") == "Too Many Requests")
            self.assertEqual(request("GET", f"{stack.urls['http']}/health")[0], 429)
            self.tells(stack, ["gateway-throttled"], "GatewayThrottled", line=lambda line: line.get("status") == "429")

    def test_sends_are_slow(self):
        with self.stack() as stack:
            ana, _ = self.chat(stack)
            stack.follows(postLatency={"medianMs": 1200})
            says(ana)
            self.tells(stack, ["sends-too-slow"], "SendsMissed")

    def test_every_alarm_is_part_of_a_drill_or_has_a_reason(self):
        """An alarm that no drill starts might never start."""
        names = {name for name, alarm in self.plan.alarms.items() if alarm["alarm_actions"]} | set(self.plan.composites)
        drilled = set(Path(__file__).read_text().split('"'))
        undrilled = {name.removeprefix("switchboard-") for name in names} - drilled
        self.assertEqual(undrilled, set(WITHOUT_A_DRILL))


# Alarms that the local stack cannot cause, and why.
WITHOUT_A_DRILL = {
    'async-events-dropped': "the local stack drops no events",
    'dead-letters-lost': "the local stack has no queue that could refuse one",
    'dynamodb-system-errors': "a lost answer is one, but the stack does not log it as DynamoDB would count it",
    'events-behind': "Lambda measures it; the stack has no such metric",
    'function-duration': "it takes 24 seconds of an invocation; its expression is that of function-errors",
    'http-integration-errors': "the stack does not say which API an invocation was for; as for the WebSocket API",
}


if __name__ == "__main__":
    unittest.main()
