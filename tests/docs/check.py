"""Checks the documents against the repository and a running stack: links, commands, flags and examples.

Usage: python3 tests/docs/check.py
"""

import sys

import commands
import examples
import links
from markdown import documents, tracked
from stack import build


def main():
    files = tracked()
    all_documents = documents(files)
    by_path = {document.path: document for document in all_documents}
    readme, protocol = by_path["README.md"], by_path["src/wire/README.md"]

    problems = [*links.problems(all_documents, files), *commands.unlisted(all_documents, commands.COMMANDS)]
    print(f"{sum(len(document.links) for document in all_documents)} links in {len(all_documents)} documents")
    if not problems:
        build()
        problems += examples.flags(readme)
        for document in all_documents:
            if document.path in commands.COMMANDS:
                for name, outcome, problem in commands.run_all(document):
                    print(f"{document.path}: {name}: {outcome}", flush=True)
                    problems += [f"{document.path}: {name}: {problem}"] if problem else []
        for path, name, outcome, problem in examples.run_all(readme, protocol):
            print(f"{path}: {name}: {outcome}", flush=True)
            problems += [f"{path}: {name}: {problem}"] if problem else []
    print(*problems, f"documents: {len(problems)} problems", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
