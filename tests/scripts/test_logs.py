"""The AWS CLI command of scripts/logs. `aws` and `terraform` are stubs."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

LOGS = Path(__file__).parents[2] / "scripts" / "logs"
TAIL = ["logs", "tail", "/aws/lambda/chat", "--since", "1h", "--format", "short"]


class Logs(unittest.TestCase):
    variables = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.programs = Path(folder.name)
        self.commands = self.programs / "commands"
        for tool in ["bash", "dirname", "mkdir", "sed"]:
            (self.programs / tool).symlink_to(shutil.which(tool))
        self.has_aws("aws-cli/2.31.0 Python/3.13.7")
        self.program("terraform", "echo there is no state >&2; exit 1")

    def program(self, name, script):
        path = self.programs / name
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def has_aws(self, version):
        self.program("aws", f"""[[ $1 == --version ]] && echo '{version}' || printf '%s\\0' "$@" >'{self.commands}'""")

    def run_logs(self, *arguments, group="/aws/lambda/chat"):
        environment = {"PATH": str(self.programs)} | self.variables | ({"LOG_GROUP": group} if group else {})
        return subprocess.run([LOGS, *arguments], env=environment, capture_output=True, text=True, timeout=30)

    def command_of(self, *arguments, **options):
        done = self.run_logs(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.commands.read_text().split("\0")[:-1]

    def error_of(self, *arguments, **options):
        done = self.run_logs(*arguments, **options)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(self.commands.exists())
        return done.stderr

    def test_without_a_filter_all_lines_are_followed(self):
        self.assertEqual(self.command_of(), [*TAIL, "--follow"])

    def test_each_filter_selects_its_field(self):
        for what, field in [("request", "request_id"), ("connection", "connection_id"), ("room", "room_id")]:
            commands = self.command_of(f"--{what}", "L0SM9cOFvHcCIhw=")
            self.assertEqual(commands, [*TAIL, "--follow", "--filter-pattern", f'{{ $.{field} = "L0SM9cOFvHcCIhw=" }}'])

    def test_quotes_and_backslashes_in_a_room_id_are_escaped(self):
        commands = self.command_of("--room", r"""ben's "tea" \ $(rm) & `ls`""")
        self.assertEqual(commands[-1], r"""{ $.room_id = "ben's \"tea\" \\ $(rm) & `ls`" }""")

    def test_no_follow_and_since_are_passed_on(self):
        commands = self.command_of("--no-follow", "--since", "2d")
        self.assertEqual(commands, ["2d" if word == "1h" else word for word in TAIL])

    def test_the_log_of_the_named_deployment_is_followed_and_said(self):
        self.program("terraform", '[[ $2,$3,$4 == output,-raw,log_group ]] && echo -n "/aws/lambda/${TF_DATA_DIR##*/}"')
        for name in ("switchboard", "tea"):
            self.variables = {"TF_VAR_name": name}
            done = self.run_logs(group=None)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.commands.read_text().split("\0")[2], f"/aws/lambda/{name}")
            self.assertIn(f"The log of the deployment {name}:\n/aws/lambda/{name} since 1h", done.stderr)

    def test_a_missing_log_group_is_reported(self):
        error = self.error_of(group=None)
        self.assertIn("The state of the deployment switchboard is not known here", error)
        self.assertIn("LOG_GROUP", error)

    def test_a_missing_or_old_aws_cli_is_reported(self):
        self.has_aws("aws-cli/1.45.11 Python/3.11.7")
        self.assertIn("Install version 2 of the AWS CLI", self.error_of())
        os.remove(self.programs / "aws")
        self.assertIn("Install version 2 of the AWS CLI", self.error_of())

    def test_invalid_arguments_print_the_usage(self):
        for arguments in [
            ["--user", "ana"],
            ["--room"],
            ["--room", ""],
            ["--room", "tea", "--request", "1"],
            ["--since"],
        ]:
            self.assertIn("Usage: scripts/logs", self.error_of(*arguments), arguments)


if __name__ == "__main__":
    unittest.main()
