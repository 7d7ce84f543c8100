"""The bill of materials of scripts/sbom."""

import json
import subprocess
import unittest
from pathlib import Path

SBOM = Path(__file__).parents[2] / "scripts" / "sbom"


class BillOfMaterials(unittest.TestCase):
    def test_it_has_what_is_linked_into_the_lambda_and_nothing_else(self):
        done = subprocess.run([SBOM, "x86_64"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        bill = json.loads(done.stdout)
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        self.assertEqual(bill["metadata"]["component"]["name"], "switchboard")
        names = {component["name"] for component in bill["components"]}
        self.assertLessEqual({"aws-sdk-dynamodb", "lambda_runtime", "tokio", "ring"}, names)
        # Of the local stack, of tests, and of builds.
        self.assertFalse({"axum", "s3s", "schemars", "jsonschema", "cc"} & names)
        for component in bill["components"]:
            self.assertEqual(component["purl"], f"pkg:cargo/{component['name']}@{component['version']}")
            self.assertTrue(component["licenses"], component)

    def test_invalid_arguments_print_the_usage(self):
        done = subprocess.run([SBOM, "riscv"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Usage:", done.stderr)


if __name__ == "__main__":
    unittest.main()
