"""The Terraform commands of scripts/deploy and scripts/destroy."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"

# A stub of Terraform: records its arguments, and has one output.
STUB = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$COMMANDS"
if [[ $* == *'output -raw protected'* ]]; then [[ ${PROTECTED:-} ]] && echo "$PROTECTED"; fi
"""


class Deployments(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="with a space ")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "terraform").write_text(STUB)
        (self.folder / "terraform").chmod(0o755)
        self.zip = self.folder / "switchboard-1a2b3c4-x86_64.zip"
        self.zip.touch()

    def runs(self, script, *arguments, **variables):
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = {"PATH": path, "COMMANDS": str(self.folder / "commands"), "STATE_BUCKET": "states"} | variables
        done = subprocess.run(
            [SCRIPTS / script, *arguments], env=environment, cwd=self.folder, capture_output=True, text=True
        )
        commands = self.folder / "commands"
        return done, commands.read_text().splitlines() if commands.exists() else []

    def test_each_deployment_has_its_own_state(self):
        _, commands = self.runs("deploy", "--zip", self.zip.name, TF_VAR_name="tea")
        self.assertIn("-backend-config=bucket=states -backend-config=key=tea/terraform.tfstate", commands[0])
        self.assertIn("-var name=tea ", commands[1])

    def test_a_previous_zip_is_deployed_for_the_architecture_in_its_name(self):
        done, commands = self.runs("deploy", "--zip", self.zip.name, "-var", "protect=false")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(commands[1].startswith("-chdir=terraform apply "), commands)
        self.assertIn(f'-var package={{zip="{self.zip}",architecture="x86_64"}} -var protect=false', commands[1])

    def test_a_plan_is_written_and_not_applied(self):
        _, commands = self.runs("deploy", "--zip", self.zip.name, "--plan", "plan")
        self.assertTrue(commands[1].startswith("-chdir=terraform plan "), commands)
        self.assertTrue(commands[1].endswith(f"-out {self.folder}/plan"), commands)
        _, commands = self.runs("deploy", "--apply", "plan")
        self.assertEqual(commands[-1], f"-chdir=terraform apply -input=false {self.folder}/plan")

    def test_without_a_state_bucket_terraform_is_not_run(self):
        done, commands = self.runs("deploy", "--zip", self.zip.name, STATE_BUCKET="")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("STATE_BUCKET", done.stderr)
        self.assertEqual(commands, [])

    def test_a_protected_deployment_is_not_destroyed(self):
        for protected in ("true", ""):
            done, commands = self.runs("destroy", PROTECTED=protected)
            self.assertEqual(done.returncode, 1)
            self.assertIn("protect=false", done.stderr)
            self.assertFalse([line for line in commands if " destroy " in line], commands)

    def test_an_unprotected_deployment_is_destroyed_without_a_zip_and_a_secret(self):
        done, commands = self.runs("destroy", PROTECTED="false")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("-chdir=terraform destroy -var name=switchboard -var protect=false", commands[-1])
        self.assertIn("auth_mode", commands[-1])

    def test_no_allowed_origins_is_reported_before_terraform_plans(self):
        plan = ("deploy", "--zip", self.zip.name, "--plan", "plan")
        for variables in ({}, {"TF_VAR_chat": '{"allowed_origins": []}'}):
            done, commands = self.in_copy({}, *plan, **variables)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("no web page can use the HTTP API or upload files", done.stderr)
            self.assertIn('chat = { allowed_origins = ["https://chat.example.com"] }', done.stderr)
            self.assertTrue(commands[-1].startswith("-chdir=terraform plan "), commands)

    def test_allowed_origins_are_found_in_every_source_of_terraform_variables(self):
        setting = (
            'chat = {\n  allowed_content_types = ["image/png"] # all\n'
            '  allowed_origins = [\n    "https://chat.example.com"\n  ]\n}\n'
        )
        (self.folder / "own.tfvars").write_text(setting)
        plan = ("deploy", "--zip", self.zip.name, "--plan", "plan")
        found = [
            self.runs(*plan, TF_VAR_chat='{allowed_origins=["https://chat.example.com"]}'),
            self.runs(*plan, "-var", 'chat={allowed_origins=["https://chat.example.com"]}'),
            self.runs(*plan, '-var=chat={allowed_origins=["https://chat.example.com"]}'),
            self.runs(*plan, f"-var-file={self.folder}/own.tfvars"),
            self.runs(*plan, "-var-file", f"{self.folder}/own.tfvars"),
            self.in_copy({"terraform.tfvars": setting}, *plan),
            self.in_copy({"terraform.tfvars": "chat = {}", "production.auto.tfvars": setting}, *plan),
            self.in_copy(
                {"terraform.tfvars.json": '{"chat": {"allowed_origins": ["https://chat.example.com"]}}'}, *plan
            ),
        ]
        for done, _ in found:
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("web page", done.stderr)

    def test_a_later_value_of_chat_replaces_the_one_with_the_origins(self):
        setting = 'chat = { allowed_origins = ["https://chat.example.com"] }'
        plan = ("deploy", "--zip", self.zip.name, "--plan", "plan")
        replaced = [
            self.runs(
                *plan, "-var", 'chat={auth_mode="open"}', TF_VAR_chat='{allowed_origins=["https://chat.example.com"]}'
            ),
            self.in_copy({"terraform.tfvars": setting, "production.auto.tfvars": "chat = { lobby = false }"}, *plan),
            self.in_copy({"terraform.tfvars": f"# {setting}"}, *plan),
        ]
        for done, _ in replaced:
            self.assertIn("web page", done.stderr)

    def in_copy(self, files, script, *arguments, **variables):
        """Runs a script of a copy of the repository with these files in terraform/."""
        copy = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copytree(SCRIPTS, copy / "scripts")
        (copy / "terraform").mkdir()
        for name, text in files.items():
            (copy / "terraform" / name).write_text(text)
        return self.runs(copy / "scripts" / script, *arguments, **variables)

    def test_help_and_a_flag_without_a_value_run_no_commands(self):
        for script in ("deploy", "destroy"):
            done, commands = self.runs(script, "--help", STATE_BUCKET="")
            self.assertEqual((done.returncode, commands), (0, []), done.stderr)
            self.assertIn("Usage:", done.stdout)
        done, commands = self.runs("deploy", "--zip")
        self.assertEqual((done.returncode, commands), (2, []))


if __name__ == "__main__":
    unittest.main()
