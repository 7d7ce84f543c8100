"""A Lambda function that is not ours: it shows each event to the test and does what the test says.

It speaks the Runtime API with Python's standard library alone. What goes to the test and comes back is a line of JSON.
"""

import http.client
import json
import os
import socket
import sys

runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
host, port = os.environ["PROBE_ASKS"].split(":")
test = socket.create_connection((host, int(port))).makefile("rw", encoding="utf-8")


def call(method, path, body=None):
    runtime.request(method, f"/2018-06-01/runtime/invocation/{path}", body)
    answer = runtime.getresponse()
    return answer.status, answer.headers, answer.read()


taken = None
while True:
    _, headers, event = call("GET", "next")
    while True:
        seen = {"event": json.loads(event), "headers": dict(headers), "process": os.getpid(), "taken": taken}
        seen["key"] = ":".join(os.environ[f"AWS_{name}"] for name in ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"])
        print(json.dumps(seen), file=test, flush=True)
        order = json.loads(test.readline())
        if "exit" in order:
            sys.exit(order["exit"])
        invocation = order.get("id", headers["Lambda-Runtime-Aws-Request-Id"])
        taken, _, _ = call("POST", f"{invocation}/{order['as']}", order["body"].encode())
        if taken == 202:
            break
