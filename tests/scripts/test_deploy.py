"""What scripts/deploy and scripts/destroy ask of Terraform."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"

# Stands for Terraform: notes what it is asked, and knows one output.
STUB = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$ASKED"
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
        environment = {"PATH": path, "ASKED": str(self.folder / "asked"), "STATE_BUCKET": "states"} | variables
        done = subprocess.run([SCRIPTS / script, *arguments], env=environment, cwd=self.folder, capture_output=True, text=True)
        asked = self.folder / "asked"
        return done, asked.read_text().splitlines() if asked.exists() else []

    def test_each_deployment_has_a_state_of_its_own(self):
        _, asked = self.runs("deploy", "--zip", self.zip.name, TF_VAR_name="tea")
        self.assertIn("-backend-config=bucket=states -backend-config=key=tea/terraform.tfstate", asked[0])
        self.assertIn("-var name=tea ", asked[1])

    def test_a_previous_zip_is_deployed_for_what_it_was_built_for(self):
        done, asked = self.runs("deploy", "--zip", self.zip.name, "-var", "protect=false")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(asked[1].startswith("-chdir=terraform apply "), asked)
        self.assertIn(f'-var package={{zip="{self.zip}",architecture="x86_64"}} -var protect=false', asked[1])

    def test_a_plan_is_written_and_nothing_applied(self):
        _, asked = self.runs("deploy", "--zip", self.zip.name, "--plan", "plan")
        self.assertTrue(asked[1].startswith("-chdir=terraform plan "), asked)
        self.assertTrue(asked[1].endswith(f"-out {self.folder}/plan"), asked)
        _, asked = self.runs("deploy", "--apply", "plan")
        self.assertEqual(asked[-1], f"-chdir=terraform apply -input=false {self.folder}/plan")

    def test_without_a_bucket_for_the_state_nothing_is_done(self):
        done, asked = self.runs("deploy", "--zip", self.zip.name, STATE_BUCKET="")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("STATE_BUCKET", done.stderr)
        self.assertEqual(asked, [])

    def test_nothing_is_destroyed_that_is_protected_or_may_be(self):
        for protected in ("true", ""):
            done, asked = self.runs("destroy", PROTECTED=protected)
            self.assertEqual(done.returncode, 1)
            self.assertIn("protect=false", done.stderr)
            self.assertFalse([line for line in asked if " destroy " in line], asked)

    def test_what_is_not_protected_is_destroyed_without_a_zip_and_a_key(self):
        done, asked = self.runs("destroy", PROTECTED="false")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("-chdir=terraform destroy -var name=switchboard -var protect=false", asked[-1])
        self.assertIn("auth_mode", asked[-1])

    def test_help_and_a_flag_without_its_value_do_nothing(self):
        for script in ("deploy", "destroy"):
            done, asked = self.runs(script, "--help", STATE_BUCKET="")
            self.assertEqual((done.returncode, asked), (0, []), done.stderr)
            self.assertIn("Usage:", done.stdout)
        done, asked = self.runs("deploy", "--zip")
        self.assertEqual((done.returncode, asked), (2, []))


if __name__ == "__main__":
    unittest.main()
