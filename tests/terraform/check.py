"""Tests the Terraform configuration against an emulated AWS: see scripts/test-terraform.

It works on a copy under target/terraform, with the state in a local file and an AWS emulator on a local port.
"""

import fnmatch
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path

import readback

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "terraform"
WORK = ROOT / "target" / "terraform"
COPY = WORK / "terraform"
SCRIPTS = WORK / "scripts"
REGISTRY = "registry.terraform.io"

# A local file holds the state instead of S3.
BACKEND = ("backend_override.tf", 'terraform {\n  backend "local" {}\n}\n')
# One exact version of the provider: the one that was tested. The configuration itself allows a range.
PROVIDER = os.environ.get("AWS_PROVIDER_VERSION", "5.100.0")
LOCK = (
    "lock_override.tf",
    "terraform {\n  required_providers {\n    aws = {\n"
    f'      source  = "hashicorp/aws"\n      version = "{PROVIDER}"\n    }}\n  }}\n}}\n',
)
# The emulator forgets the dead-letter queue of a function, returns the version of an alias for the alias of a mapping,
# and supports neither saved queries nor composite alarms, nor the tags of budgets: `terraform test` covers these.
EMULATED = {
    "modules/observability/emulator_override.tf": (
        'resource "aws_cloudwatch_query_definition" "saved" {\n  for_each = {}\n}\n'
        'resource "aws_cloudwatch_composite_alarm" "sends" {\n  count = 0\n}\n'
    ),
    "modules/function/emulator_override.tf": (
        'resource "aws_lambda_function" "router" {\n  lifecycle {\n    ignore_changes = [dead_letter_config]\n  }\n}\n'
    ),
    "modules/events/emulator_override.tf": (
        'resource "aws_lambda_event_source_mapping" "stream" {\n  lifecycle {\n    ignore_changes = [function_name]\n  }\n}\n'
    ),
}

# The settings of a developer's own deployment are not part of the test.
OWN_SETTINGS = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars")

SETTINGS = {
    "package": {"zip": "function.zip", "architecture": "x86_64"},
    "jwt_secret": "a secret of thirty-two bytes, ok",
    "jwt_secret_previous": "another secret of thirty-two byte",
    "chat": {
        "allowed_origins": ["https://chat.example.com"],
        "jwt_issuer": "https://id.example.com",
        "jwt_issuers": [{"preset": "firebase:my-project"}],
        "message_ttl_days": 7,
        "review_function": "arn:aws:lambda:us-east-1:123456789012:function:review",
    },
    "gateway": {"requests_per_second": 50, "burst_limit": 100, "access_log_retention_days": 7},
    "events": {
        "bodies": True,
        "archive_days": 30,
        "webhooks": [{"url": "https://backend.example.com/events", "events": ["message.created", "member.joined"]}],
    },
    "alarm_topic_arns": ["arn:aws:sns:us-east-1:123456789012:alarms"],
}


class Failed(Exception):
    pass


def run(*command, environment, folder=COPY, given=None):
    """Runs a command and returns its output, which is printed only if it fails."""
    shown = " ".join(command[:3])
    done = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{shown} failed with exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def terraform_environment():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    # Terraform warns on every run about a TF_CLI_CONFIG_FILE that does not exist.
    if not Path(environment.get("TF_CLI_CONFIG_FILE", "")).is_file():
        environment.pop("TF_CLI_CONFIG_FILE", None)
    # That of scripts/terraform, so that the scripts of the copy use the same state and provider.
    data = COPY / ".terraform" / "deployments" / "switchboard"
    data.mkdir(parents=True)
    environment |= {"TF_DATA_DIR": str(data), "TF_PLUGIN_CACHE_DIR": "", "WAIT_SECONDS": "0.1"}
    return environment | {"TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": "-no-color", "CHECKPOINT_DISABLE": "1"}


def has_provider(directory):
    """Whether the directory is a mirror with the pinned provider, unpacked or packed."""
    provider = Path(directory) / REGISTRY / "hashicorp" / "aws"
    return (provider / PROVIDER).is_dir() or any(provider.glob(f"terraform-provider-aws_{PROVIDER}_*.zip"))


def registry_is_reachable():
    try:
        with urllib.request.urlopen(f"https://{REGISTRY}/.well-known/terraform.json", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def implied_directories():
    """The implied local mirror directories, according to the documentation of Terraform's CLI configuration."""
    data = [os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"]
    data += (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    return [COPY / "terraform.d/plugins", Path.home() / ".terraform.d/plugins"] + [
        Path(d) / "terraform/plugins" for d in data
    ]


def searched_directories():
    for directory, names, _ in os.walk("/"):
        if REGISTRY in names:
            yield Path(directory)
        # Virtual file systems, and the plugins that Terraform caches for one configuration.
        skipped = {"proc", "sys", "dev"} if directory == "/" else {".terraform", "node_modules", ".git"}
        names[:] = [name for name in names if name not in skipped]


def init_arguments(environment):
    """The arguments with which `terraform init` finds the provider."""
    named = os.environ.get("TERRAFORM_PROVIDERS")
    if named:
        if not has_provider(named):
            raise Failed(
                f"TERRAFORM_PROVIDERS is {named}, which does not contain {REGISTRY}/hashicorp/aws {PROVIDER}"
            )
        return [f"-plugin-dir={named}"]
    if "TF_CLI_CONFIG_FILE" in environment or registry_is_reachable():
        return []
    for directory in implied_directories():
        if has_provider(directory):
            return []
    for directory in searched_directories():
        if has_provider(directory):
            return [f"-plugin-dir={directory}"]
    raise Failed(
        f"the AWS provider {PROVIDER} is not available: {REGISTRY} is unreachable, and no mirror was found. "
        f"Download terraform-provider-aws_{PROVIDER} from releases.hashicorp.com into "
        f"DIR/{REGISTRY}/hashicorp/aws/ and set "
        "TERRAFORM_PROVIDERS=DIR"
    )


@contextmanager
def emulated_aws():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    with (WORK / "emulator.log").open("w") as log:
        server = subprocess.Popen(
            ["moto_server", "-H", "127.0.0.1", "-p", str(port)], env=environment, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
                break
            except OSError as problem:
                if server.poll() is not None or time.monotonic() > until:
                    raise Failed(f"the AWS emulator does not respond; see {WORK / 'emulator.log'}") from problem
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait()


def prepare():
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(
        SOURCE, COPY, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", ".terraform.lock.hcl", *OWN_SETTINGS)
    )
    shutil.copytree(ROOT / "scripts", SCRIPTS)
    for name, text in (BACKEND, LOCK):
        (COPY / name).write_text(text)
    # The emulator stores the function, but does not run it.
    with zipfile.ZipFile(COPY / "function.zip", "w") as package:
        package.writestr(zipfile.ZipInfo("bootstrap"), "#!/bin/sh\n")
    (WORK / "settings.tfvars.json").write_text(json.dumps(SETTINGS))


def static_checks(environment):
    step("formatting")
    run("terraform", "fmt", "-check", "-recursive", "-diff", str(SOURCE), environment=environment)
    step("init")
    run("terraform", "init", "-input=false", *init_arguments(environment), environment=environment)
    step("validate")
    run("terraform", "validate", environment=environment)
    step("checkov")
    report = run(
        "checkov",
        "--config-file",
        str(SOURCE / ".checkov.yaml"),
        "--directory",
        str(COPY),
        "--output",
        "json",
        environment=environment,
    )
    passed = json.loads(report)["summary"]["passed"]
    if passed < 60:
        raise Failed(f"only {passed} checks of checkov passed: it did not find the configuration")


def own_tests(environment):
    step("terraform test")
    print(run("terraform", "test", "-compact-warnings", environment=environment).splitlines()[-1], flush=True)


def lifecycle(environment, url):
    """Applies, reads the resources back, plans again, turns off the deletion protection and destroys."""
    environment = environment | {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_REGION": readback.REGION,
    }
    os.environ.update({name: environment[name] for name in environment if name.startswith("AWS_")})
    options = ["-input=false", "-compact-warnings", f"-var-file={WORK / 'settings.tfvars.json'}"]
    for name, text in EMULATED.items():
        (COPY / name).write_text(text)

    step("bootstrap of the account, twice")
    bootstrap = (str(SCRIPTS / "bootstrap-account"), "--github", "somebody/chat")
    for _ in range(2):
        run(*bootstrap, environment=environment | {"STATE_BUCKET": readback.STATE_BUCKET})

    step("apply")
    # The provider logs each request.
    logged = environment | {"TF_LOG_PROVIDER": "DEBUG", "TF_LOG_PATH": str(WORK / "provider.log")}
    run("terraform", "apply", "-auto-approve", *options, environment=logged)
    state = json.loads(run("terraform", "show", "-json", environment=environment))["values"]
    readback.outputs = {name: output["value"] for name, output in state["outputs"].items()}
    for module in state["root_module"]["child_modules"]:
        for resource in module["resources"]:
            if resource["type"] == "aws_apigatewayv2_route_response":
                values = resource["values"]
                readback.route_responses.setdefault(values["route_id"], []).append(values["id"])
    readback.settings = SETTINGS
    readback.contract = json.loads((SOURCE / "contract.auto.tfvars.json").read_text())["contract"]
    readback.runbook = (SOURCE / "RUNBOOK.md").read_text()
    readback.output_folder = WORK
    step("read back")
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(readback.AppliedResources)
    if not unittest.TextTestRunner(stream=sys.stdout).run(tests).wasSuccessful():
        raise Failed("the applied resources are not as configured")
    step("second plan, without changes")
    run("terraform", "plan", "-detailed-exitcode", *options, environment=environment)
    step("plan without the emulator's gaps, for the drills")
    for name in EMULATED:
        (COPY / name).unlink()
    run("terraform", "plan", f"-out={WORK / 'plan'}", *options, environment=environment)
    plan = json.loads(run("terraform", "show", "-json", str(WORK / "plan"), environment=environment))
    (WORK / "plan.json").write_text(json.dumps(plan["planned_values"]))
    for name, text in EMULATED.items():
        (COPY / name).write_text(text)
    step("plan on another machine, without changes")
    shutil.copytree(COPY, WORK / "elsewhere", symlinks=True)
    os.utime(WORK / "elsewhere" / "function.zip")
    run("terraform", "plan", "-detailed-exitcode", *options, environment=environment, folder=WORK / "elsewhere")
    step("what plans show")
    plans_show_their_changes(environment, options)

    step("restore the tables, and put them into service")
    options.append(restored_tables_are_in_service(environment, options))

    step("destroy")
    run("terraform", "apply", "-auto-approve", *options, "-var=protect=false", environment=logged)
    run("terraform", "apply", "-destroy", "-auto-approve", *options, "-var=protect=false", environment=logged)
    step("permissions of the deploy role")
    deploy_policy_suffices((WORK / "provider.log").read_text())
    left = readback.remaining()
    if left:
        raise Failed("resources left after the destroy: " + ", ".join(left))


def plans_show_their_changes(environment, options):
    """A plan shows every setting except the values of secrets, and scripts/plan-notes what is easily missed."""

    def planned(**changes):
        settings = [f"-var={name}={json.dumps(SETTINGS.get(name, {}) | value)}" for name, value in changes.items()]
        text = run("terraform", "plan", f"-out={WORK / 'plan'}", *options, *settings, environment=environment)
        plan = run("terraform", "show", "-json", str(WORK / "plan"), environment=environment)
        return text, run(str(SCRIPTS / "plan-notes"), "4", environment=environment, given=plan)

    text, notes = planned(chat={"auth_mode": "open"}, gateway={"stage": "live", "requests_at_once": 5})
    expected = [
        (r'"AUTH_MODE" += "jwt" -> "open"', text),
        (r'"JWT_SECRET" += \(sensitive value\)|unchanged', text),
        ("AUTHENTICATION IS SWITCHED OFF", notes),
        (r"aws_apigatewayv2_stage\.clients is replaced: the URL ends with another name", notes),
        ("requests_at_once is now gateway.burst_limit", notes),
        ("allows 4 concurrent invocations", notes),
    ]
    for pattern, found in expected:
        if not re.search(pattern, found):
            raise Failed(f"{pattern} is not in:\n{found}")
    for secret in (SETTINGS["jwt_secret"], SETTINGS["jwt_secret_previous"]):
        if secret in text or secret in notes:
            raise Failed("a plan shows a secret")


def restored_tables_are_in_service(environment, options):
    """Follows the runbook with rows of a room. Returns the option for the following applies."""
    dynamodb, old = readback.client("dynamodb"), readback.outputs["table_names"]
    message = {"roomId": {"S": "tea"}, "messageId": {"S": "00000000000001"}, "carry": {"M": {"w": {"L": []}}}}
    dynamodb.put_item(TableName=old["CHAT_ROOMS_TABLE"], Item={"id": {"S": "tea"}, "roomName": {"S": "Tea"}})
    dynamodb.put_item(TableName=old["MESSAGES_TABLE"], Item=message)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    # Every step can be repeated.
    for arguments in ([moment, "switchboard-r1"], [moment, "switchboard-r1"], ["--adopt", "switchboard-r1"]):
        run(str(SCRIPTS / "restore"), *arguments, environment=environment)
    prefix = "-var=table_prefix=switchboard-r1"
    # The emulator forgets the encryption of a restored table, so a second plan would not be empty.
    run("terraform", "apply", "-auto-approve", *options, prefix, environment=environment)

    variables = readback.client("lambda").get_function_configuration(FunctionName=readback.NAME)["Environment"]
    new = {variable: variables["Variables"][variable] for variable in old}
    if any(new[variable] != old[variable].replace("switchboard-", "switchboard-r1-") for variable in old):
        raise Failed(f"the function does not use the restored tables: {new}")
    room = dynamodb.get_item(TableName=new["CHAT_ROOMS_TABLE"], Key={"id": {"S": "tea"}})["Item"]
    [entry] = dynamodb.scan(TableName=new["MESSAGES_TABLE"])["Items"]
    epoch = room.get("epoch")
    if room["roomName"] != {"S": "Tea"} or not epoch or entry["carry"]["M"] != {"w": {"L": []}, "e": epoch}:
        raise Failed(f"the epoch of the room's log is not raised: {room}, {entry}")
    for name in new.values():
        if not dynamodb.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"]:
            raise Failed(f"the restored table {name} is not protected")
    # The old ones are kept by a restore, and are nobody's now.
    for name in old.values():
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=name)
    return prefix


# The prefix of the actions of each service in IAM, by its name in the log of the provider.
PREFIXES = {
    "CloudWatch": "cloudwatch",
    "CloudWatch Logs": "logs",
    "DynamoDB": "dynamodb",
    "EventBridge": "events",
    "IAM": "iam",
    "KMS": "kms",
    "Lambda": "lambda",
    "S3": "s3",
    "SQS": "sqs",
}
# Calls whose action has another name, or that need no permission.
ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "iam:GetUser": None,
}


def deploy_policy_suffices(log):
    """Every request of the provider is allowed by terraform/deploy-policy.json, as far as its action tells."""
    statements = json.loads((SOURCE / "deploy-policy.json").read_text())["Statement"]
    allowed = [action for one in statements for action in (
        one["Action"] if isinstance(one["Action"], list) else [one["Action"]])]
    needed = set()
    # An entry has several lines if a body has.
    for entry in re.split(r"\n(?=\d{4}-\d\d-\d\dT)", log):
        if "HTTP Request Sent" not in entry:
            continue
        fields = dict(re.findall(r'(http\.method|rpc\.method|rpc\.service)=("[^"]*"|\S+)', entry))
        service, method = (fields.get(name, "").strip('"') for name in ("rpc.service", "rpc.method"))
        if service == "ApiGatewayV2":
            needed.add(f"apigateway:{fields['http.method']}")
        elif service in PREFIXES:
            action = f"{PREFIXES[service]}:{method}"
            needed.add(ACTIONS.get(action, action))
        elif service not in ("STS", ""):
            raise Failed(f"PREFIXES lacks the service {service}, which Terraform uses")
    needed.discard(None)
    if len(needed) < 50:
        raise Failed(f"the log of the provider is not understood: {sorted(needed)}")
    missing = [action for action in sorted(needed) if not any(fnmatch.fnmatch(action, one) for one in allowed)]
    if missing:
        raise Failed(f"terraform/deploy-policy.json does not allow {', '.join(missing)}")


def step(name):
    print(f"-- {name} ({time.monotonic() - STARTED:.0f} s)", flush=True)


STARTED = time.monotonic()


def main():
    # Exits normally on SIGTERM, so that the emulator is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        prepare()
        environment = terraform_environment()
        static_checks(environment)
        own_tests(environment)
        with emulated_aws() as url:
            lifecycle(environment, url)
    except Failed as problem:
        print(problem, flush=True)
        return 1
    step("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
