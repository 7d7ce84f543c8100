"""The calls of scripts/release. `aws` and `terraform` are stubs; the alias and the alarms are files."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

RELEASE = Path(__file__).parents[2] / "scripts" / "release"

AWS = """#!/usr/bin/env bash
case $1 in
    lambda)
        if [[ $2 == get-alias ]]; then cat "$FOLDER/version"; exit; fi
        while (($#)); do
            case $1 in
                --function-version) version=$2 ;;
                --routing-config) routing=${2#AdditionalVersionWeights=} ;;
            esac
            shift
        done
        echo "$version" > "$FOLDER/version"
        echo "$version $routing" >> "$FOLDER/aliases"
        ;;
    cloudwatch)
        steps=$(wc -l < "$FOLDER/aliases" 2>/dev/null || echo 0)
        [[ ! -f $FOLDER/alarms-$steps ]] || cat "$FOLDER/alarms-$steps"
        ;;
esac
"""


class Release(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        output = json.dumps({"name": "switchboard", "alias": "live", "version": "42"})
        for name, script in (("aws", AWS), ("terraform", f"#!/usr/bin/env bash\necho '{output}'\n")):
            (self.folder / name).write_text(script)
            (self.folder / name).chmod(0o755)
        (self.folder / "version").write_text("41\n")

    def releases(self, *arguments):
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "FOLDER": str(self.folder),
            "STEP_SECONDS": "0",
            "TF_PLUGIN_CACHE_DIR": str(self.folder),
        }
        done = subprocess.run([RELEASE, *arguments], env=environment, capture_output=True, text=True)
        aliases = self.folder / "aliases"
        return done, aliases.read_text().splitlines() if aliases.exists() else []

    def test_traffic_is_shifted_in_tenths(self):
        done, aliases = self.releases()
        self.assertEqual(done.returncode, 0, done.stderr)
        steps = [f'41 {{"42":0.{tenths}}}' for tenths in range(1, 10)]
        self.assertEqual(aliases, [*steps, "42 {}"])

    def test_an_alarm_that_starts_meanwhile_shifts_the_traffic_back(self):
        (self.folder / "alarms-3").write_text("switchboard-posts-failed\n")
        done, aliases = self.releases()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(aliases[-2:], ['41 {"42":0.3}', "41 {}"])
        self.assertIn("in alarm: switchboard-posts-failed", done.stderr)
        self.assertIn("NOT RELEASED: version 41", done.stderr)

    def test_an_alarm_from_before_does_not_stop_a_release(self):
        for step in range(10):
            (self.folder / f"alarms-{step}").write_text("switchboard-dead-letters\n")
        done, aliases = self.releases()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(aliases[-1], "42 {}")
        self.assertIn("in alarm already", done.stderr)

    def test_a_roll_back_moves_all_traffic_at_once(self):
        done, aliases = self.releases("--to", "40", "--at-once")
        self.assertEqual((done.returncode, aliases), (0, ["40 {}"]), done.stderr)

    def test_the_newest_version_is_not_released_twice(self):
        (self.folder / "version").write_text("42\n")
        _, aliases = self.releases()
        self.assertEqual(aliases, ["42 {}"])

    def test_invalid_arguments_print_the_usage(self):
        for arguments in (["--to"], ["--to", "latest"], ["now"]):
            done, aliases = self.releases(*arguments)
            self.assertEqual((done.returncode, aliases), (2, []))
            self.assertIn("Usage:", done.stderr)


if __name__ == "__main__":
    unittest.main()
