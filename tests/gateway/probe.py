"""A Lambda function that sends each event to the test and follows the instruction that the test returns.

It implements the Runtime API with Python's standard library only. Events and instructions are lines of JSON.
"""

import http.client
import json
import os
import socket
import sys

runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
host, port = os.environ["PROBE_ADDRESS"].split(":")
test = socket.create_connection((host, int(port))).makefile("rw", encoding="utf-8")


def call(method, path, body=None):
    runtime.request(method, f"/2018-06-01/runtime/invocation/{path}", body)
    answer = runtime.getresponse()
    return answer.status, answer.headers, answer.read()


previous_status = None
while True:
    _, headers, event = call("GET", "next")
    while True:
        invocation = {
            "event": json.loads(event),
            "headers": dict(headers),
            "process": os.getpid(),
            "key": ":".join(os.environ[f"AWS_{name}"] for name in ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"]),
            "previous_status": previous_status,
        }
        print(json.dumps(invocation), file=test, flush=True)
        instruction = json.loads(test.readline())
        if "exit" in instruction:
            sys.exit(instruction["exit"])
        request_id = instruction.get("id", headers["Lambda-Runtime-Aws-Request-Id"])
        previous_status, _, _ = call("POST", f"{request_id}/{instruction['as']}", instruction["body"].encode())
        if previous_status == 202:
            break
