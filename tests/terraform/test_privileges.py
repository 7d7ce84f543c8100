"""The check reports missing, unused and wrong permissions. Run: python3 -m unittest discover tests/terraform"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import privileges

ACCOUNT = "us-east-1:123456789012"
NAMES = {
    "CHAT_ROOMS_TABLE": f"arn:aws:dynamodb:{ACCOUNT}:table/switchboard-ChatRooms",
    "REPORTS_TABLE": f"arn:aws:dynamodb:{ACCOUNT}:table/switchboard-Reports",
    "MEMBERS_TABLE": f"arn:aws:dynamodb:{ACCOUNT}:table/switchboard-Members",
    "MESSAGES_TABLE": f"arn:aws:dynamodb:{ACCOUNT}:table/switchboard-Messages",
    "bucket": "arn:aws:s3:::switchboard-uploads-x",
    "connections": f"arn:aws:execute-api:{ACCOUNT}:abc123/prod",
    "function": f"arn:aws:lambda:{ACCOUNT}:function:switchboard",
    "log_group": f"arn:aws:logs:{ACCOUNT}:log-group:/aws/lambda/switchboard",
    "failures": f"arn:aws:sqs:{ACCOUNT}:switchboard-failures",
}
MEMBERS, MESSAGES, BUCKET = NAMES["MEMBERS_TABLE"], NAMES["MESSAGES_TABLE"], NAMES["bucket"]
CALLS = [
    ("dynamodb", "Query", "MEMBERS_TABLE/byRoom"),
    ("dynamodb", "Query", "MESSAGES_TABLE"),
    ("dynamodb", "TransactWriteItems.Put", "MESSAGES_TABLE"),
    ("s3", "HeadObject", "rooms/*"),
    ("s3", "HeadObject of an absent key", ""),
    ("execute-api", "PostToConnection", "@connections/*"),
    ("lambda", "Invoke", "function"),
]


def streams(label):
    return [f"{NAMES[table]}/stream/{label}" for table in NAMES if table.endswith("_TABLE")]


def statement(actions, resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources} | more


def policy(*more):
    """A policy with the permissions of those calls, and more statements."""
    statements = [
        statement("dynamodb:Query", [f"{MEMBERS}/index/byRoom", MESSAGES]),
        statement("dynamodb:PutItem", MESSAGES),
        statement("s3:GetObject", f"{BUCKET}/rooms/*"),
        statement("s3:ListBucket", BUCKET),
        statement("execute-api:ManageConnections", f"{NAMES['connections']}/POST/@connections/*"),
        statement("lambda:InvokeFunction", f"{NAMES['function']}:*"),
        statement(["logs:CreateLogStream", "logs:PutLogEvents"], f"{NAMES['log_group']}:*"),
        statement(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
        statement("sqs:SendMessage", NAMES["failures"]),
        statement(["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], streams("2026")),
        statement("dynamodb:ListStreams", streams("*")),
    ]
    return {"Version": "2012-10-17", "Statement": statements + list(more)}


def without(action):
    remaining = [statement for statement in policy()["Statement"] if statement["Action"] != action]
    return {"Version": "2012-10-17", "Statement": remaining}


class Privileges(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # The records of two tests, with one call in common.
        self.record("one", CALLS[:4])
        self.record("two", CALLS[3:])

    def record(self, test, calls):
        recording = [dict(zip(("service", "call", "resource"), call)) for call in calls]
        (self.folder / f"{test}.json").write_text(json.dumps(recording))

    def differences(self, policy):
        return privileges.differences(self.folder, policy, NAMES)

    def test_a_policy_with_exactly_the_needed_permissions_is_accepted(self):
        self.assertEqual(self.differences(policy()), [])

    def test_a_missing_permission_is_reported_with_the_call_that_needs_it(self):
        needed = "which needs s3:GetObject; no statement grants it"
        expected = f"the function calls HeadObject on rooms/*, {needed}"
        self.assertEqual(self.differences(without("s3:GetObject")), [expected])
        needed = "which needs s3:ListBucket; no statement grants it"
        expected = f"the function calls HeadObject of an absent key on the bucket, {needed}"
        self.assertEqual(self.differences(without("s3:ListBucket")), [expected])
        expected = "the function calls TransactWriteItems.Put on MESSAGES_TABLE, which needs dynamodb:PutItem"
        self.assertEqual(self.differences(without("dynamodb:PutItem")), [f"{expected}; no statement grants it"])

    def test_a_permission_on_a_table_does_not_include_its_index(self):
        changed = without("dynamodb:Query")
        changed["Statement"].append(statement("dynamodb:Query", [MEMBERS, MESSAGES]))
        self.assertEqual(
            self.differences(changed),
            [
                "the function calls Query on MEMBERS_TABLE/byRoom, which needs dynamodb:Query; no statement grants it",
                "dynamodb:Query on MEMBERS_TABLE is granted but not used",
            ],
        )

    def test_a_missing_permission_of_lambda_itself_is_reported(self):
        [expected] = self.differences(without("sqs:SendMessage"))
        self.assertRegex(expected, r"^sqs:SendMessage on failures is needed \(Lambda .+\); no statement grants it$")

    def test_an_unused_permission_is_reported(self):
        expected = "s3:DeleteObject on bucket/rooms/* is granted but not used"
        self.assertEqual(self.differences(policy(statement("s3:DeleteObject", f"{BUCKET}/rooms/*"))), [expected])
        expected = f"dynamodb:Query on {MESSAGES}-old is granted but not used"
        self.assertEqual(self.differences(policy(statement("dynamodb:Query", f"{MESSAGES}-old"))), [expected])

    def test_a_wildcard_or_too_broad_permission_is_reported(self):
        stage = f"arn:aws:execute-api:{ACCOUNT}:abc123"
        for action, arn, resource, expected in [
            ("dynamodb:*", MESSAGES, "MESSAGES_TABLE", "name each action"),
            ("dynamodb:Get*", MESSAGES, "MESSAGES_TABLE", "name each action"),
            ("dynamodb:Scan", MESSAGES, "MESSAGES_TABLE", "read tables by their keys and indexes"),
            ("dynamodb:Query", "*", "*", "name the resource"),
            ("s3:GetObject", f"{BUCKET}/*", "bucket/*", "objects are bucket/rooms/* and bucket/exports/*, and nothing else"),
            *(
                ("execute-api:ManageConnections", arn, arn, "name the one stage")
                for arn in (f"{stage}/test/POST/@connections/*", f"{stage}/prod2/POST/@connections/*", f"{stage}/*")
            ),
        ]:
            grant = f"{action} on {resource} is granted"
            expected = [f"{grant} but not used", f"{grant}; {expected}"]
            self.assertEqual(self.differences(policy(statement(action, arn))), expected)

    def test_a_statement_that_no_call_can_verify_is_reported(self):
        denial = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{BUCKET}/rooms/*", "Sid": "Never"}
        expected = "Never has the effect Deny; use Allow only"
        self.assertEqual(self.differences(policy(denial)), [expected])
        everything = {"Effect": "Allow", "NotAction": "s3:GetObject", "NotResource": MESSAGES, "Sid": "Rest"}
        reason = "which no recorded call can verify; name actions and resources"
        expected = [f"Rest has a NotAction, {reason}", f"Rest has a NotResource, {reason}"]
        self.assertEqual(self.differences(policy(everything)), expected)
        sometimes = statement("dynamodb:Query", MESSAGES, Condition={"Bool": {"aws:SecureTransport": "true"}})
        expected = [f"a statement without a Sid has a Condition, {reason}"]
        self.assertEqual(self.differences(policy(sometimes)), expected)

    def test_an_unknown_call_is_reported(self):
        self.record("three", [("dynamodb", "Scan", "MESSAGES_TABLE")])
        with self.assertRaisesRegex(ValueError, "the function calls Scan on MESSAGES_TABLE, but CALLS in "):
            self.differences(policy(statement("dynamodb:Scan", MESSAGES)))

    def test_the_program_prints_each_difference_and_fails(self):
        self.assertEqual(self.run_with(policy(), self.folder)[0], 0)
        code, printed = self.run_with(without("s3:GetObject"), self.folder)
        self.assertEqual(code, 1)
        self.assertIn("the function calls HeadObject on rooms/*, which needs s3:GetObject", printed)

    def test_missing_recordings_are_reported(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for folder in (empty, self.folder / "nowhere"):
            code, printed = self.run_with(policy(), folder)
            self.assertEqual(code, 1)
            self.assertEqual(printed, f"no calls are recorded in {folder}; run the tests first: scripts/test\n")

    def run_with(self, policy, recordings):
        files = {"policy": policy, "resources": NAMES}
        for name, content in files.items():
            (self.folder / name).write_text(json.dumps(content))
        program = [sys.executable, privileges.__file__, self.folder / "policy", self.folder / "resources", recordings]
        finished = subprocess.run(program, capture_output=True, text=True, timeout=60)
        return finished.returncode, finished.stdout


if __name__ == "__main__":
    unittest.main()
