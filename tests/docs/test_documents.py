"""The checks of the documents find what is wrong."""

import unittest

import commands
import links
from markdown import Document

FILES = {"README.md", "src/main.rs", "docs/more.md"}
MORE = Document("docs/more.md", "# More\n\n## What `a_b` is, and why\n\n## Twice\n\n## Twice\n")


def problems(text, path="README.md"):
    return list(links.problems([Document(path, text), MORE], FILES))


class Links(unittest.TestCase):
    def test_links_to_what_is_there_are_right(self):
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

    def test_links_to_nowhere_are_found(self):
        for text, part in (
            ("[gone](src/delivery.rs)", "no such file"),
            ("[out of it](../README.md)", "no such file"),
            ("[gone](#nothing)", "no heading"),
            ("[gone](docs/more.md#nothing)", "no heading"),
            ("[gone](docs/more.md#twice-2)", "no heading"),
            ("```\n# In code\n```\n[gone](#in-code)", "no heading"),
            ("[named]: src/gone.rs", "no such file"),
            ("[odd](htps://example.com)", "no URL"),
            ("[odd](https://example)", "no URL"),
            ("`src/delivery.rs`", "not there"),
            ("`tests/chat/*.rs`", "not there"),
        ):
            found = problems(text)
            self.assertEqual(len(found), 1, text)
            self.assertIn(part, found[0])


class Commands(unittest.TestCase):
    def test_every_block_is_run_or_has_a_reason(self):
        known = {"README.md": {"cargo run": commands.NotRun("it is only an example")}}
        listed = Document("README.md", "```sh\ncargo run\n```\n")
        self.assertEqual(list(commands.unlisted([listed], known)), [])
        other = Document("README.md", "```sh\nrm -rf target\n```\n```json\n{}\n```\n")
        found = list(commands.unlisted([other], known))
        self.assertEqual(len(found), 2, found)
        self.assertIn("rm -rf target", found[0])
        self.assertIn("cargo run", found[1])

    def test_an_error_in_an_answer_is_found(self):
        self.assertEqual(commands.errors_in('{"rooms":[]}{"type":"message"}\nConnected\n'), [])
        for answer in (
            '{"code":"ROOM_NOT_FOUND"}',
            'x\n{"type":"pong"}{"type":"error","code":"X"}',
            '{"message":"Not Found"}',
        ):
            self.assertEqual(len(commands.errors_in(answer)), 1, answer)


if __name__ == "__main__":
    unittest.main()
