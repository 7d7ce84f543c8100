"""The check of the workflows reports problems.

Usage: scripts/python -m unittest discover -s tests/workflows
"""

import unittest

from check import Repository, problems

REPOSITORY = Repository(
    scripts={"scripts/test", "scripts/smoke"},
    checks={"formatting", "tests"},
    tests=["typing::the_others_see_who_is_typing", "uploads::a_file_is_told_of"],
)
SOUND = """
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
    def finds(self, expected, old, new):
        self.assertIn(old, SOUND)
        found = list(problems(SOUND.replace(old, new), REPOSITORY))
        self.assertEqual(len(found), 1, found)
        self.assertIn(expected, found[0])

    def test_a_sound_workflow_has_no_problem(self):
        self.assertEqual(list(problems(SOUND, REPOSITORY)), [])

    def test_a_script_that_is_not_there_is_found(self):
        self.finds("scripts/smok is not there", "scripts/smoke", "scripts/smok")
        self.finds("scripts/url is not there", "$(url websocket)", "$(./scripts/url websocket)")

    def test_a_check_that_scripts_test_does_not_know_is_found(self):
        self.finds("no check 'format'", "--only formatting", "--only format")
        self.finds("no check ''", "--only formatting", "--only")

    def test_an_argument_that_scripts_test_does_not_know_is_found(self):
        self.finds("takes no --most", "--all", "--most")

    def test_a_filter_that_selects_nothing_is_found_for_every_value_of_the_matrix(self):
        self.finds("--filter files selects no test", "[typing, uploads]", "[typing, files]")
        self.finds("--filter typ selects no test", "[typing, uploads]", "[typ, uploads]")

    def test_a_value_that_the_matrix_does_not_have_is_found(self):
        workflow = SOUND.replace("matrix.module }}", "matrix.modul }}")
        self.assertIn("names no value of the matrix", next(problems(workflow, REPOSITORY)))

    def test_what_others_write_does_not_get_into_a_command(self):
        self.finds("pass it by env", '"$(url websocket)"', '"${{ github.head_ref }}"')

    def test_an_action_that_can_change_under_us_is_found(self):
        for loose in ["actions/checkout@v7", "actions/checkout@main", PINNED.removesuffix(" # v7.0.1"), PINNED[:-4]]:
            self.finds("is pinned neither", PINNED, loose)

    def test_a_workflow_without_permissions_of_its_own_is_found(self):
        self.finds("no permissions", "permissions:\n  contents: read\n", "")
        self.finds("no permissions", "permissions:\n  contents: read\n", "permissions: write-all\n")

    def test_a_job_without_a_limit_is_found(self):
        self.finds("no timeout-minutes", "    timeout-minutes: 30\n", "")


if __name__ == "__main__":
    unittest.main()
