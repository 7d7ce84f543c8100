"""Tests the Terraform configuration against an emulated AWS: see scripts/test-terraform.

It works on a copy under target/terraform, with the state in a local file and an AWS emulator on a local port.
"""

import json
import os
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
COPY = WORK / "copy"
REGISTRY = "registry.terraform.io"

# A local file holds the state instead of S3.
BACKEND = ("backend_override.tf", 'terraform {\n  backend "local" {}\n}\n')
# The emulator does not support saved queries, which `terraform test` covers, nor the reset of the account settings.
EMULATED = {
    "modules/observability/emulator_override.tf": (
        'resource "aws_cloudwatch_query_definition" "saved" {\n  for_each = {}\n}\n'
    ),
    "modules/websocket_api/emulator_override.tf": (
        'resource "aws_api_gateway_account" "logs" {\n  reset_on_delete = false\n}\n'
    ),
}

# The settings of a developer's own deployment are not part of the test.
OWN_SETTINGS = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars")

SETTINGS = {
    "package": {"zip": str(WORK / "function.zip"), "architecture": "x86_64"},
    "jwt_secret": "a secret of thirty-two bytes, ok",
    "jwt_secret_previous": "another secret of thirty-two byte",
    "chat": {
        "allowed_origins": ["https://chat.example.com"],
        "jwt_issuer": "https://id.example.com",
        "jwt_issuers": [{"preset": "firebase:my-project"}],
        "message_ttl_days": 7,
        "review_function": "arn:aws:lambda:us-east-1:123456789012:function:review",
    },
    "gateway": {"requests_per_second": 50, "requests_at_once": 100, "access_log_retention_days": 7},
    "events": {
        "bodies": True,
        "archive_days": 30,
        "webhooks": [{"url": "https://backend.example.com/events", "events": ["message.created", "member.joined"]}],
    },
    "alarm_topic_arns": ["arn:aws:sns:us-east-1:123456789012:alarms"],
}


class Failed(Exception):
    pass


def run(*command, environment):
    """Runs a command and returns its output, which is printed only if it fails."""
    shown = " ".join(command[:3])
    done = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{shown} failed with exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def terraform_environment():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    # Terraform warns on every run about a TF_CLI_CONFIG_FILE that does not exist.
    if not Path(environment.get("TF_CLI_CONFIG_FILE", "")).is_file():
        environment.pop("TF_CLI_CONFIG_FILE", None)
    return environment | {"TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": "-no-color", "CHECKPOINT_DISABLE": "1"}


def provider_version():
    pinned = [
        line.split('"')[1] for line in (SOURCE / "terraform.tf").read_text().splitlines() if " version = " in line
    ]
    return pinned[0]


def has_provider(directory):
    """Whether the directory is a mirror with the pinned provider, unpacked or packed."""
    provider = Path(directory) / REGISTRY / "hashicorp" / "aws"
    version = provider_version()
    return (provider / version).is_dir() or any(provider.glob(f"terraform-provider-aws_{version}_*.zip"))


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
                f"TERRAFORM_PROVIDERS is {named}, which does not contain {REGISTRY}/hashicorp/aws {provider_version()}"
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
        f"the AWS provider {provider_version()} is not available: {REGISTRY} is unreachable, and no mirror was found. "
        f"Download terraform-provider-aws_{provider_version()} from releases.hashicorp.com into "
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
    (COPY / BACKEND[0]).write_text(BACKEND[1])
    # The emulator stores the function, but does not run it.
    with zipfile.ZipFile(WORK / "function.zip", "w") as package:
        package.writestr("bootstrap", "#!/bin/sh\n")
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

    step("apply")
    run("terraform", "apply", "-auto-approve", *options, environment=environment)
    state = json.loads(run("terraform", "show", "-json", environment=environment))["values"]
    readback.outputs = {name: output["value"] for name, output in state["outputs"].items()}
    for module in state["root_module"]["child_modules"]:
        for resource in module["resources"]:
            if resource["type"] == "aws_apigatewayv2_route_response":
                values = resource["values"]
                readback.route_responses.setdefault(values["route_id"], []).append(values["id"])
    readback.settings = SETTINGS
    readback.contract = json.loads((SOURCE / "contract.auto.tfvars.json").read_text())["contract"]
    readback.output_folder = WORK
    step("read back")
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(readback.AppliedResources)
    if not unittest.TextTestRunner(stream=sys.stdout).run(tests).wasSuccessful():
        raise Failed("the applied resources are not as configured")
    step("second plan, without changes")
    run("terraform", "plan", "-detailed-exitcode", *options, environment=environment)

    step("destroy")
    run("terraform", "apply", "-auto-approve", *options, "-var=protect=false", environment=environment)
    run("terraform", "apply", "-destroy", "-auto-approve", *options, "-var=protect=false", environment=environment)
    left = readback.remaining()
    if left:
        raise Failed("resources left after the destroy: " + ", ".join(left))


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
