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
    ("s3", "HeadObject of nothing", ""),
    ("execute-api", "PostToConnection", "@connections/*"),
    ("lambda", "Invoke", "function"),
]


def statement(actions, resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources} | more


def policy(*more):
    """What those calls need, and more."""
    statements = [
        statement("dynamodb:Query", [f"{MEMBERS}/index/byRoom", MESSAGES]),
        statement("dynamodb:PutItem", MESSAGES),
        statement("s3:GetObject", f"{BUCKET}/rooms/*"),
        statement("s3:ListBucket", BUCKET),
        statement("execute-api:ManageConnections", f"{NAMES['connections']}/POST/@connections/*"),
        statement("lambda:InvokeFunction", NAMES["function"]),
        statement(["logs:CreateLogStream", "logs:PutLogEvents"], f"{NAMES['log_group']}:*"),
        statement(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
        statement("sqs:SendMessage", NAMES["failures"]),
    ]
    return {"Version": "2012-10-17", "Statement": statements + list(more)}


def without(action):
    kept = [statement for statement in policy()["Statement"] if statement["Action"] != action]
    return {"Version": "2012-10-17", "Statement": kept}


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

    def said_of(self, policy):
        return privileges.differences(self.folder, policy, NAMES)

    def test_a_policy_that_grants_what_is_needed_and_nothing_else_is_right(self):
        self.assertEqual(self.said_of(policy()), [])

    def test_what_is_missing_is_told_with_the_call_that_needs_it(self):
        needed = "which needs s3:GetObject; no statement grants it"
        self.assertEqual(self.said_of(without("s3:GetObject")), [f"the function calls HeadObject on rooms/*, {needed}"])
        needed = "which needs s3:ListBucket; no statement grants it"
        told = f"the function calls HeadObject of nothing on the bucket, {needed}"
        self.assertEqual(self.said_of(without("s3:ListBucket")), [told])
        told = "the function calls TransactWriteItems.Put on MESSAGES_TABLE, which needs dynamodb:PutItem"
        self.assertEqual(self.said_of(without("dynamodb:PutItem")), [f"{told}; no statement grants it"])

    def test_a_table_does_not_stand_for_its_index(self):
        changed = without("dynamodb:Query")
        changed["Statement"].append(statement("dynamodb:Query", [MEMBERS, MESSAGES]))
        self.assertEqual(
            self.said_of(changed),
            [
                "the function calls Query on MEMBERS_TABLE/byRoom, which needs dynamodb:Query; no statement grants it",
                "dynamodb:Query on MEMBERS_TABLE is granted and nothing uses it",
            ],
        )

    def test_what_lambda_itself_needs_is_missed_too(self):
        [told] = self.said_of(without("sqs:SendMessage"))
        self.assertRegex(told, r"^sqs:SendMessage on failures is needed \(Lambda .+\); no statement grants it$")

    def test_what_nothing_uses_is_told(self):
        told = "s3:DeleteObject on bucket/rooms/* is granted and nothing uses it"
        self.assertEqual(self.said_of(policy(statement("s3:DeleteObject", f"{BUCKET}/rooms/*"))), [told])
        told = f"dynamodb:Query on {MESSAGES}-old is granted and nothing uses it"
        self.assertEqual(self.said_of(policy(statement("dynamodb:Query", f"{MESSAGES}-old"))), [told])

    def test_what_is_too_wide_is_told(self):
        stage = f"arn:aws:execute-api:{ACCOUNT}:abc123"
        for action, arn, resource, told in [
            ("dynamodb:*", MESSAGES, "MESSAGES_TABLE", "name each action"),
            ("dynamodb:Get*", MESSAGES, "MESSAGES_TABLE", "name each action"),
            ("dynamodb:Scan", MESSAGES, "MESSAGES_TABLE", "read tables by their keys and indexes"),
            ("dynamodb:Query", "*", "*", "name the resource"),
            ("s3:GetObject", f"{BUCKET}/*", "bucket/*", "objects are bucket/rooms/* and nothing else"),
            *(
                ("execute-api:ManageConnections", arn, arn, "name the one stage")
                for arn in (f"{stage}/test/POST/@connections/*", f"{stage}/prod2/POST/@connections/*", f"{stage}/*")
            ),
        ]:
            grant = f"{action} on {resource} is granted"
            expected = [f"{grant} and nothing uses it", f"{grant}; {told}"]
            self.assertEqual(self.said_of(policy(statement(action, arn))), expected)

    def test_what_no_call_can_prove_is_told(self):
        denial = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{BUCKET}/rooms/*", "Sid": "Never"}
        told = "Never has the effect Deny; say what is allowed, and nothing else"
        self.assertEqual(self.said_of(policy(denial)), [told])
        everything = {"Effect": "Allow", "NotAction": "s3:GetObject", "NotResource": MESSAGES, "Sid": "Rest"}
        because = "which no recorded call can prove; name actions and resources"
        told = [f"Rest has a NotAction, {because}", f"Rest has a NotResource, {because}"]
        self.assertEqual(self.said_of(policy(everything)), told)
        sometimes = statement("dynamodb:Query", MESSAGES, Condition={"Bool": {"aws:SecureTransport": "true"}})
        told = [f"a statement without a Sid has a Condition, {because}"]
        self.assertEqual(self.said_of(policy(sometimes)), told)

    def test_a_call_that_nobody_has_thought_of_is_told(self):
        self.record("three", [("dynamodb", "Scan", "MESSAGES_TABLE")])
        with self.assertRaisesRegex(ValueError, "the function calls Scan on MESSAGES_TABLE, and CALLS in "):
            self.said_of(policy(statement("dynamodb:Scan", MESSAGES)))

    def test_the_program_prints_a_sentence_for_each_and_fails(self):
        self.assertEqual(self.run_with(policy(), self.folder)[0], 0)
        code, told = self.run_with(without("s3:GetObject"), self.folder)
        self.assertEqual(code, 1)
        self.assertIn("the function calls HeadObject on rooms/*, which needs s3:GetObject", told)

    def test_without_recordings_it_says_to_run_the_tests(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for folder in (empty, self.folder / "nowhere"):
            code, told = self.run_with(policy(), folder)
            self.assertEqual(code, 1)
            self.assertEqual(told, f"no calls are recorded in {folder}; run the tests first: scripts/test\n")

    def run_with(self, policy, recordings):
        files = {"policy": policy, "resources": NAMES}
        for name, content in files.items():
            (self.folder / name).write_text(json.dumps(content))
        program = [sys.executable, privileges.__file__, self.folder / "policy", self.folder / "resources", recordings]
        ended = subprocess.run(program, capture_output=True, text=True, timeout=60)
        return ended.returncode, ended.stdout


if __name__ == "__main__":
    unittest.main()
