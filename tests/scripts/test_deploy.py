"""The Terraform commands of scripts/deploy and scripts/destroy, in a copy of the repository. `terraform` and `aws` are
stubs."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"

# Records its arguments and its data folder. Has one output, and the plan that the test gives.
TERRAFORM = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$COMMANDS"
printf '%s\\n' "$TF_DATA_DIR" >> "$COMMANDS.data"
case $* in
    *'output -raw protected'*) [[ ${PROTECTED:-} ]] && echo "$PROTECTED" ;;
    *'output -json function'*) echo '{"version": "2"}' ;;
    *'show -json'*) echo "$PLAN" ;;
esac
"""
AWS = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$COMMANDS.aws"
[[ $* != *get-alias* ]] || echo 1
[[ $* != *get-account-settings* ]] || echo "${CONCURRENCY:-}"
"""
# A plan in which nothing is worth a note.
QUIET = {
    "chat": {"allowed_origins": ["https://chat.example.com"]},
    "alarm_topic_arns": ["arn:aws:sns:eu-west-1:123456789012:night"],
}


def plan(changes=(), **settings):
    """Terraform's JSON of a plan."""
    variables = {name: {"value": value} for name, value in (QUIET | settings).items()}
    return json.dumps({"variables": variables, "resource_changes": list(changes)})


def change(kind, *actions, before=None, after=None):
    return {"address": f"module.any.{kind}.one", "type": kind, "change": {"actions": actions} | {
        side: {"environment": [{"variables": {"AUTH_MODE": mode}}]} if mode else None
        for side, mode in (("before", before), ("after", after))
    }}


class Deployments(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="with a space ")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, text in (("terraform", TERRAFORM), ("aws", AWS)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        self.copy = self.folder / "repository"
        shutil.copytree(SCRIPTS, self.copy / "scripts")
        (self.copy / "terraform").mkdir()
        self.zip = self.folder / "switchboard-1a2b3c4-x86_64.zip"
        self.zip.write_text("a zip")

    def runs(self, script, *arguments, answer="yes", **variables):
        path = f"{self.folder}:{os.environ['PATH']}"
        commands = self.folder / "commands"
        commands.unlink(missing_ok=True)
        environment = {
            "PATH": path,
            "COMMANDS": str(commands),
            "STATE_BUCKET": "states",
            "PLAN": plan(),
            "STEP_SECONDS": "0",
        } | variables
        done = subprocess.run(
            [self.copy / "scripts" / script, *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            input=f"{answer}\n",
        )
        chdir = f"-chdir={self.copy}/terraform "
        lines = commands.read_text().splitlines() if commands.exists() else []
        self.assertTrue(all(line.startswith(chdir) for line in lines), lines)
        return done, [line.removeprefix(chdir) for line in lines]

    def notes(self, *changes, **variables):
        settings = variables.pop("settings", {})
        done, _ = self.runs(
            "deploy", "--zip", self.zip.name, "--plan", "plan", PLAN=plan(changes, **settings), **variables
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr.strip()

    def test_each_deployment_has_its_own_state_data_and_settings(self):
        (self.copy / "terraform" / "environments").mkdir()
        (self.copy / "terraform" / "environments" / "tea.tfvars").touch()
        _, commands = self.runs("deploy", "--zip", self.zip.name, TF_VAR_name="tea")
        self.assertIn("-backend-config=bucket=states -backend-config=key=tea/terraform.tfstate", commands[0])
        self.assertIn("-var-file=environments/tea.tfvars -var name=tea ", commands[1])
        data = set((self.folder / "commands.data").read_text().splitlines())
        self.assertEqual(data, {f"{self.copy}/terraform/.terraform/deployments/tea"})
        _, commands = self.runs("deploy", "--zip", self.zip.name)
        self.assertNotIn("-var-file", commands[1])

    def test_the_zip_has_the_same_path_on_every_machine(self):
        done, commands = self.runs("deploy", "--zip", self.zip.name, "-var", "protect=false")
        self.assertEqual(done.returncode, 0, done.stderr)
        packed = ".terraform/deployments/switchboard/function.zip"
        self.assertTrue(commands[1].startswith("plan "), commands)
        self.assertIn(f'-var package={{zip="{packed}",architecture="x86_64"}}', commands[1])
        self.assertTrue(commands[1].endswith(" -var protect=false"), commands)
        self.assertEqual((self.copy / "terraform" / packed).read_text(), "a zip")

    def test_a_plan_is_applied_and_released_after_yes_only(self):
        for options, answer, code in (((), "yes", 0), ((), "y", 1), (("-auto-approve",), "", 0)):
            aws = self.folder / "commands.aws"
            aws.unlink(missing_ok=True)
            done, commands = self.runs("deploy", "--zip", self.zip.name, *options, answer=answer)
            self.assertEqual(done.returncode, code, done.stderr)
            applied = [line for line in commands if line.startswith("apply -input=false /")]
            self.assertEqual(len(applied), 1 if code == 0 else 0, commands)
            self.assertNotIn("-auto-approve", commands[1])
            shifted = [line for line in aws.read_text().splitlines() if "--function-version 2" in line]
            self.assertEqual(len(shifted), len(applied))

    def test_a_plan_is_written_and_not_applied(self):
        _, commands = self.runs("deploy", "--zip", self.zip.name, "--plan", "plan")
        self.assertIn(f"-out {self.folder}/plan", commands[1])
        self.assertEqual([line.split()[0] for line in commands], ["init", "plan", "show"])
        _, commands = self.runs("deploy", "--apply", "plan")
        self.assertEqual(commands[-1], f"apply -input=false {self.folder}/plan")

    def test_without_a_state_bucket_terraform_is_not_run(self):
        done, commands = self.runs("deploy", "--zip", self.zip.name, STATE_BUCKET="")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("STATE_BUCKET", done.stderr)
        self.assertEqual(commands, [])

    def test_a_plan_without_anything_to_note_has_no_notes(self):
        self.assertEqual(self.notes(change("aws_apigatewayv2_stage", "update"), CONCURRENCY="1000"), "")

    def test_no_allowed_origins_is_noted(self):
        for chat in ({}, {"allowed_origins": []}, None):
            self.assertIn("no web page can use the HTTP API or upload files", self.notes(settings={"chat": chat}))

    def test_alarms_that_nobody_hears_are_noted(self):
        self.assertIn("nobody will be told when an alarm starts", self.notes(settings={"alarm_topic_arns": []}))

    def test_authentication_that_is_switched_off_is_noted(self):
        switched = change("aws_lambda_function", "update", before="jwt", after="open")
        self.assertIn("AUTHENTICATION IS SWITCHED OFF", self.notes(switched))
        self.assertEqual("", self.notes(change("aws_lambda_function", "update", before="jwt", after="jwt")))
        self.assertIn("without a token", self.notes(settings={"chat": QUIET["chat"] | {"auth_mode": "open"}}))

    def test_a_replacement_that_clients_notice_is_noted(self):
        noted = self.notes(change("aws_apigatewayv2_stage", "delete", "create"))
        self.assertIn("module.any.aws_apigatewayv2_stage.one is replaced: the URL ends with another name", noted)
        noted = self.notes(change("aws_dynamodb_table", "delete"))
        self.assertIn("is deleted: all of its rows", noted)

    def test_settings_of_earlier_versions_are_noted(self):
        noted = self.notes(settings={"gateway": {"requests_at_once": 10, "account_log_role": False}})
        self.assertIn("gateway.requests_at_once is now gateway.burst_limit", noted)
        self.assertIn("scripts/bootstrap-account", noted)

    def test_too_low_a_quota_of_concurrency_is_noted(self):
        self.assertIn("allows 10 concurrent invocations, and this deployment wants 100", self.notes(CONCURRENCY="10"))
        noted = self.notes(settings={"function": {"concurrency": 950}}, CONCURRENCY="1000")
        self.assertIn("wants 1050", noted)
        # Without permission to read the quota, nothing is said about it.
        self.assertEqual("", self.notes())

    def test_a_protected_deployment_is_not_destroyed(self):
        for protected in ("true", ""):
            done, commands = self.runs("destroy", PROTECTED=protected)
            self.assertEqual(done.returncode, 1)
            self.assertIn("protect=false", done.stderr)
            self.assertFalse([line for line in commands if line.startswith("destroy ")], commands)

    def test_an_unprotected_deployment_is_destroyed_without_a_zip_and_a_secret(self):
        done, commands = self.runs("destroy", PROTECTED="false")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("destroy -var name=switchboard -var protect=false", commands[-1])
        self.assertIn("auth_mode", commands[-1])

    def test_help_and_a_flag_without_a_value_run_no_commands(self):
        for script in ("deploy", "destroy"):
            done, commands = self.runs(script, "--help", STATE_BUCKET="")
            self.assertEqual((done.returncode, commands), (0, []), done.stderr)
            self.assertIn("Usage:", done.stdout)
        done, commands = self.runs("deploy", "--zip")
        self.assertEqual((done.returncode, commands), (2, []))


if __name__ == "__main__":
    unittest.main()
