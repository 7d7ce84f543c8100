"""The check of the workflows reports problems.

Usage: scripts/python -m unittest discover -s tests/workflows
"""

import unittest

from check import Repository, problems

REPOSITORY = Repository(
    scripts={"scripts/test", "scripts/smoke"},
    checks={"formatting", "tests"},
    tests=["typing::others_see_who_is_typing", "uploads::a_file_is_announced"],
)
VALID = """
permissions:
  contents: read
jobs:
  integration:
    timeout-minutes: 30
    strategy:
      matrix:
        module: [typing, uploads]
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - uses: actions/setup-node@v7.0.0
      - run: |
          scripts/test --all --only tests --filter ${{ matrix.module }}
          scripts/test --only formatting && scripts/smoke "$(url websocket)"
"""
PINNED = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"


class Check(unittest.TestCase):
    def reports(self, expected, old, new):
        self.assertIn(old, VALID)
        found = list(problems(VALID.replace(old, new), REPOSITORY))
        self.assertEqual(len(found), 1, found)
        self.assertIn(expected, found[0])

    def test_a_valid_workflow_has_no_problems(self):
        self.assertEqual(list(problems(VALID, REPOSITORY)), [])

    def test_a_missing_script_is_reported(self):
        self.reports("scripts/smok does not exist", "scripts/smoke", "scripts/smok")
        self.reports("scripts/url does not exist", "$(url websocket)", "$(./scripts/url websocket)")

    def test_an_unknown_check_is_reported(self):
        self.reports("no check 'format'", "--only formatting", "--only format")
        self.reports("no check ''", "--only formatting", "--only")

    def test_an_unknown_option_is_reported(self):
        self.reports("has no option --most", "--all", "--most")

    def test_a_filter_that_selects_no_test_is_reported_for_each_value_of_the_matrix(self):
        self.reports("--filter files selects no test", "[typing, uploads]", "[typing, files]")
        self.reports("--filter typ selects no test", "[typing, uploads]", "[typ, uploads]")

    def test_an_unknown_matrix_value_is_reported(self):
        workflow = VALID.replace("matrix.module }}", "matrix.modul }}")
        self.assertIn("is not a value of the matrix", next(problems(workflow, REPOSITORY)))

    def test_untrusted_input_in_a_command_is_reported(self):
        self.reports("pass it by env", '"$(url websocket)"', '"${{ github.head_ref }}"')

    def test_an_action_that_is_not_pinned_is_reported(self):
        for action in ["actions/checkout@v7", "actions/checkout@main", PINNED.removesuffix(" # v7.0.1"), PINNED[:-4]]:
            self.reports("is pinned neither", PINNED, action)

    def test_a_workflow_without_permissions_is_reported(self):
        self.reports("no top-level permissions", "permissions:\n  contents: read\n", "")
        self.reports("no top-level permissions", "permissions:\n  contents: read\n", "permissions: write-all\n")

    def test_a_job_without_a_timeout_is_reported(self):
        self.reports("no timeout-minutes", "    timeout-minutes: 30\n", "")


if __name__ == "__main__":
    unittest.main()
