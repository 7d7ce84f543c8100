"""scripts/logs requests the right lines from the AWS CLI. `aws` and `terraform` are stubs."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

LOGS = Path(__file__).parents[2] / "scripts" / "logs"
TAIL = ["logs", "tail", "/aws/lambda/chat", "--since", "1h", "--format", "short"]


class Logs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.programs = Path(folder.name)
        self.asked = self.programs / "asked"
        for tool in ["bash", "dirname", "sed"]:
            (self.programs / tool).symlink_to(shutil.which(tool))
        self.has_aws("aws-cli/2.31.0 Python/3.13.7")
        self.program("terraform", "echo there is no state >&2; exit 1")

    def program(self, name, script):
        path = self.programs / name
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def has_aws(self, version):
        self.program("aws", f"""[[ $1 == --version ]] && echo '{version}' || printf '%s\\0' "$@" >'{self.asked}'""")

    def run_logs(self, *arguments, group="/aws/lambda/chat"):
        environment = {"PATH": str(self.programs)} | ({"LOG_GROUP": group} if group else {})
        return subprocess.run([LOGS, *arguments], env=environment, capture_output=True, text=True, timeout=30)

    def asks(self, *arguments, **options):
        done = self.run_logs(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.asked.read_text().split("\0")[:-1]

    def refuses(self, *arguments, **options):
        done = self.run_logs(*arguments, **options)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(self.asked.exists())
        return done.stderr

    def test_without_a_filter_everything_is_followed(self):
        self.assertEqual(self.asks(), [*TAIL, "--follow"])

    def test_each_filter_names_its_field(self):
        for what, field in [("request", "request_id"), ("connection", "connection_id"), ("room", "room_id")]:
            asked = self.asks(f"--{what}", "L0SM9cOFvHcCIhw=")
            self.assertEqual(asked, [*TAIL, "--follow", "--filter-pattern", f'{{ $.{field} = "L0SM9cOFvHcCIhw=" }}'])

    def test_a_room_may_have_quotes_and_backslashes_in_its_name(self):
        asked = self.asks("--room", r"""ben's "tea" \ $(rm) & `ls`""")
        self.assertEqual(asked[-1], r"""{ $.room_id = "ben's \"tea\" \\ $(rm) & `ls`" }""")

    def test_a_look_back_ends(self):
        asked = self.asks("--no-follow", "--since", "2d")
        self.assertEqual(asked, ["2d" if word == "1h" else word for word in TAIL])

    def test_the_log_group_is_what_terraform_made(self):
        self.program("terraform", '[[ $2,$3,$4 == output,-raw,log_group ]] && echo -n "/aws/lambda/${1##*/}"')
        self.assertEqual(self.asks(group=None)[2], "/aws/lambda/terraform")

    def test_without_a_log_group_it_says_how_to_name_one(self):
        self.assertIn("LOG_GROUP", self.refuses(group=None))

    def test_without_the_aws_cli_or_with_its_version_1_it_says_what_to_install(self):
        self.has_aws("aws-cli/1.45.11 Python/3.11.7")
        self.assertIn("Install version 2 of the AWS CLI", self.refuses())
        os.remove(self.programs / "aws")
        self.assertIn("Install version 2 of the AWS CLI", self.refuses())

    def test_what_it_does_not_know_is_answered_with_its_usage(self):
        for arguments in [
            ["--user", "ana"],
            ["--room"],
            ["--room", ""],
            ["--room", "tea", "--request", "1"],
            ["--since"],
        ]:
            self.assertIn("Usage: scripts/logs", self.refuses(*arguments), arguments)


if __name__ == "__main__":
    unittest.main()
