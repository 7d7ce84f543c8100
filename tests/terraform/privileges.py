"""Compares the IAM policy of the function with the AWS calls that the tests recorded.

Usage: python3 tests/terraform/privileges.py POLICY.json RESOURCES.json target/tmp/aws-calls

POLICY.json is the policy document of the function's role. RESOURCES.json maps names to ARNs: tables have the names of
their variables (MESSAGES_TABLE), the others are "bucket", "connections" (the stage of the WebSocket API), "function",
"log_group", "failures" (the queue) and "bus". The folder contains the records of the tests. Prints a sentence for each
difference, and exits with 1 if there is one.
"""

import json
import sys
from pathlib import Path

# (action, resource): the resource by its name and what follows that in the ARN, as in "MEMBERS_TABLE/index/byRoom".
Grant = tuple[str, str]
# (service, call, resource), as the local stack records it.
Call = tuple[str, str, str]

# The permissions of each call; {} is the recorded resource.
CALLS: dict[str, Grant] = {
    "GetItem": ("dynamodb:GetItem", "{}"),
    "PutItem": ("dynamodb:PutItem", "{}"),
    "UpdateItem": ("dynamodb:UpdateItem", "{}"),
    "DeleteItem": ("dynamodb:DeleteItem", "{}"),
    "Query": ("dynamodb:Query", "{}"),
    "BatchGetItem": ("dynamodb:BatchGetItem", "{}"),
    "BatchWriteItem": ("dynamodb:BatchWriteItem", "{}"),
    "TransactGetItems.Get": ("dynamodb:GetItem", "{}"),
    "TransactWriteItems.Put": ("dynamodb:PutItem", "{}"),
    "TransactWriteItems.Update": ("dynamodb:UpdateItem", "{}"),
    "TransactWriteItems.Delete": ("dynamodb:DeleteItem", "{}"),
    "TransactWriteItems.ConditionCheck": ("dynamodb:ConditionCheckItem", "{}"),
    "PutObject": ("s3:PutObject", "bucket/{}"),
    "GetObject": ("s3:GetObject", "bucket/{}"),
    "HeadObject": ("s3:GetObject", "bucket/{}"),
    "DeleteObject": ("s3:DeleteObject", "bucket/{}"),
    # Without ListBucket, S3 responds with 403 instead of 404 for an object that does not exist.
    "HeadObject of an absent key": ("s3:ListBucket", "bucket"),
    "PostToConnection": ("execute-api:ManageConnections", "connections/POST/{}"),
    "GetConnection": ("execute-api:ManageConnections", "connections/GET/{}"),
    # By its version.
    "Invoke": ("lambda:InvokeFunction", "{}:*"),
    "PutEvents": ("events:PutEvents", "{}"),
    "DeleteConnection": ("execute-api:ManageConnections", "connections/DELETE/{}"),
}

# Permissions that no local call can verify, with their reasons.
UNRECORDED: dict[Grant, str] = {
    ("logs:CreateLogStream", "log_group:*"): "Lambda creates a log stream for each process with the function's role",
    ("logs:PutLogEvents", "log_group:*"): "Lambda writes the function's log with the function's role",
    ("xray:PutTraceSegments", "*"): "Lambda sends the traces with the function's role; X-Ray has no resources",
    ("xray:PutTelemetryRecords", "*"): "Lambda sends the telemetry of the traces with the function's role",
    ("sqs:SendMessage", "failures"): "Lambda sends failed events to the queue with the function's role",
} | {
    grant: "Lambda reads the streams of the tables with the function's role"
    for table in ("CHAT_ROOMS_TABLE", "MEMBERS_TABLE", "MESSAGES_TABLE", "REPORTS_TABLE")
    for grant in [
        ("dynamodb:DescribeStream", f"{table}/stream"),
        ("dynamodb:GetRecords", f"{table}/stream"),
        ("dynamodb:GetShardIterator", f"{table}/stream"),
        ("dynamodb:ListStreams", f"{table}/stream"),
    ]
}


def calls(directory: Path) -> set[Call]:
    """All recorded calls."""
    recordings = [json.loads(file.read_text()) for file in sorted(directory.glob("*.json"))]
    found = {(call["service"], call["call"], call["resource"]) for recording in recordings for call in recording}
    if not found:
        raise ValueError(f"no calls are recorded in {directory}; run the tests first: scripts/test")
    return found


def grant_for(call: Call) -> Grant:
    service, name, resource = call
    if name not in CALLS:
        raise ValueError(f"{describe(call)}, but CALLS in {Path(__file__).name} does not have the permission for it")
    action, pattern = CALLS[name]
    if (name, resource) == ("Invoke", "review"):
        # As the setting names it; the function itself is invoked by its version.
        pattern = "{}"
    return action, pattern.format(resource.replace("/", "/index/") if service == "dynamodb" else resource)


def recorded(directory: Path) -> set[Grant]:
    """The permissions that the recorded calls need."""
    return {grant_for(call) for call in calls(directory)}


def granted(policy: dict, names: dict[str, str]) -> set[Grant]:
    """The permissions of the statements: each action on each resource."""
    return {
        (action, named(resource, names))
        for statement in listed(policy["Statement"])
        for action in listed(statement.get("Action", []))
        for resource in listed(statement.get("Resource", []))
        if statement["Effect"] == "Allow"
    }


def differences(directory: Path, policy: dict, names: dict[str, str]) -> list[str]:
    """A sentence for each missing, unused or wrong permission."""
    grants = granted(policy, names)
    missing = [
        f"{describe(call)}, which needs {grant_for(call)[0]}; no statement grants it"
        for call in sorted(calls(directory))
        if grant_for(call) not in grants
    ]
    missing += [
        f"{action} on {resource} is needed ({reason}); no statement grants it"
        for (action, resource), reason in UNRECORDED.items()
        if (action, resource) not in grants
    ]
    unused = [
        f"{action} on {resource} is granted but not used"
        for action, resource in sorted(grants - recorded(directory) - UNRECORDED.keys())
    ]
    return missing + unused + unclear(policy) + too_wide(grants)


def unclear(policy: dict) -> list[str]:
    """Problems of the statements that no recorded call can verify."""
    found = []
    for statement in listed(policy["Statement"]):
        name = statement.get("Sid", "a statement without a Sid")
        if statement["Effect"] != "Allow":
            found.append(f"{name} has the effect {statement['Effect']}; use Allow only")
        for element in ("NotAction", "NotResource", "Condition"):
            if element in statement:
                found.append(f"{name} has a {element}, which no recorded call can verify; name actions and resources")
    return found


def too_wide(grants: set[Grant]) -> list[str]:
    found = []
    for action, resource in sorted(grants):
        service, _, verb = action.partition(":")
        grant = f"{action} on {resource} is granted"
        if "*" in action or "?" in action:
            found.append(f"{grant}; name each action")
        if verb.lower() == "scan":
            found.append(f"{grant}; read tables by their keys and indexes")
        if resource == "*" and service != "xray":
            found.append(f"{grant}; name the resource")
        if service == "execute-api" and not resource.startswith("connections/"):
            found.append(f"{grant}; name the one stage")
        if service == "s3" and resource not in ("bucket", "bucket/rooms/*", "bucket/exports/*"):
            found.append(f"{grant}; objects are bucket/rooms/* and bucket/exports/*, and nothing else")
    return found


def describe(call: Call) -> str:
    _, name, resource = call
    return f"the function calls {name} on {resource or 'the bucket'}"


def named(arn: str, names: dict[str, str]) -> str:
    """The name of the resource of an ARN, or the ARN if it has none."""
    for name, known in names.items():
        rest = arn.removeprefix(known)
        if arn.startswith(known) and rest[:1] in ("", "/", ":"):
            # The label of a stream is the time at which it was made: a table has one stream at a time.
            return name + ("/stream" if rest.startswith("/stream/") else rest)
    return arn


def listed(value: object) -> list:
    """A list: IAM allows a single value in place of a list with one element."""
    return value if isinstance(value, list) else [value]


def main(arguments: list[str]) -> int:
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    policy, resources, directory = map(Path, arguments)
    try:
        found = differences(directory, json.loads(policy.read_text()), json.loads(resources.read_text()))
    except (OSError, ValueError) as problem:
        found = [str(problem)]
    print("\n".join(found) or "the policy grants exactly the permissions that the function uses")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
