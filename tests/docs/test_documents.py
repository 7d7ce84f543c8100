"""The checks of the documents report problems."""

import unittest

import commands
import links
from markdown import Document

FILES = {"README.md", "src/main.rs", "docs/more.md"}
MORE = Document("docs/more.md", "# More\n\n## What `a_b` is, and why\n\n## Twice\n\n## Twice\n")


def problems(text, path="README.md"):
    return list(links.problems([Document(path, text), MORE], FILES))


class Links(unittest.TestCase):
    def test_valid_links_are_accepted(self):
        for text in (
            '[main](src/main.rs), [a folder](src), [a folder](src/), [a title](docs/more.md "More")',
            "# Top\n[up](#top) [more](docs/more.md#what-a_b-is-and-why) [second](docs/more.md#twice-1)",
            "[out](https://example.com/a?b#c), [mail](mailto:ana@example.com)",
            "`[no](link.md)` and\n```\n[no](link.md)\n# no heading\n```\n",
            "`src/main.rs`, `src/*.rs`, `terraform/terraform.tfvars`, `src/` and `cargo run`",
            "[made](<src/main.rs>)\n\n[named]: src/main.rs\n",
        ):
            self.assertEqual(problems(text), [], text)
        self.assertEqual(problems("[up](../README.md) `more.md`", "docs/again.md"), [])

    def test_broken_links_are_reported(self):
        for text, part in (
            ("[gone](src/delivery.rs)", "no such file"),
            ("[out of it](../README.md)", "no such file"),
            ("[gone](#nothing)", "no heading"),
            ("[gone](docs/more.md#nothing)", "no heading"),
            ("[gone](docs/more.md#twice-2)", "no heading"),
            ("```\n# In code\n```\n[gone](#in-code)", "no heading"),
            ("[named]: src/gone.rs", "no such file"),
            ("[odd](htps://example.com)", "not the URL"),
            ("[odd](https://example)", "not the URL"),
            ("`src/delivery.rs`", "does not exist"),
            ("`tests/chat/*.rs`", "does not exist"),
        ):
            found = problems(text)
            self.assertEqual(len(found), 1, text)
            self.assertIn(part, found[0])


class Commands(unittest.TestCase):
    def test_a_block_without_a_runner_or_a_reason_is_reported(self):
        known = {"README.md": {"cargo run": commands.NotRun("it is only an example")}}
        listed = Document("README.md", "```sh\ncargo run\n```\n")
        self.assertEqual(list(commands.unlisted([listed], known)), [])
        other = Document("README.md", "```sh\nrm -rf target\n```\n```json\n{}\n```\n")
        found = list(commands.unlisted([other], known))
        self.assertEqual(len(found), 2, found)
        self.assertIn("rm -rf target", found[0])
        self.assertIn("cargo run", found[1])

    def test_error_responses_are_reported(self):
        self.assertEqual(commands.errors_in('{"rooms":[]}{"type":"message"}\nConnected\n'), [])
        for answer in (
            '{"code":"ROOM_NOT_FOUND"}',
            'x\n{"type":"pong"}{"type":"error","code":"X"}',
            '{"message":"Not Found"}',
        ):
            self.assertEqual(len(commands.errors_in(answer)), 1, answer)


if __name__ == "__main__":
    unittest.main()
