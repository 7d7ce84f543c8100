"""Validates the GitHub workflows against their schema, and verifies that the scripts, checks and tests in them exist.

Usage: scripts/python tests/workflows/check.py [FILE...]   without files: all of .github/workflows
"""

import itertools
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


@dataclass
class Repository:
    """The names that a workflow can use: executable scripts, checks of scripts/test and integration tests."""

    scripts: set[str]
    checks: set[str]
    tests: list[str]

    @classmethod
    def here(cls):
        scripts = {f"scripts/{file.name}" for file in (ROOT / "scripts").iterdir() if os.access(file, os.X_OK)}
        listed = printed("cargo", "test", "--locked", "--test", "chat", "--", "--list", "--format", "terse")
        tests = [line.removesuffix(": test") for line in listed if line.endswith(": test")]
        return cls(scripts, set(printed("scripts/test", "--list")), tests)


def printed(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def problems(text, repository):
    """Yields a sentence for each problem of a workflow that its schema does not find."""
    workflow = YAML(typ="safe").load(text)
    if not isinstance(workflow.get("permissions"), dict):
        yield "the workflow has no top-level permissions, so it gets the defaults of the repository"
    for name, job in workflow["jobs"].items():
        for problem in problems_of_job(job, text, repository):
            yield f"job {name}: {problem}"


def problems_of_job(job, text, repository):
    if "timeout-minutes" not in job:
        yield "it has no timeout-minutes, so it can hang for six hours"
    steps = job.get("steps", [])
    for action in [used["uses"] for used in [job, *steps] if "uses" in used]:
        if not is_pinned(action, text):
            yield f"{action} is pinned neither to a commit with a version comment (# v1.2.3) nor to a full version"
    # The steps have the same problem for several values of a matrix.
    commands = [command for step in steps for command in expanded(step.get("run", ""), job)]
    yield from dict.fromkeys(problem for command in commands for problem in problems_of_command(command, repository))


def is_pinned(action, text):
    pin = action.partition("@")[2]
    if re.fullmatch(r"[0-9a-f]{40}", pin):
        lines = [line for line in text.splitlines() if action in line]
        return all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in lines)
    return re.fullmatch(r"v?\d+\.\d+\.\d+", pin) is not None


def expanded(command, job):
    """The command for each combination of its job's matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    axes = {name: values for name, values in matrix.items() if name not in ("include", "exclude")}
    for values in itertools.product(*axes.values()):
        one = command
        for name, value in zip(axes, values):
            one = re.sub(r"\$\{\{\s*matrix\." + re.escape(name) + r"\s*\}\}", lambda _: str(value), one)
        yield one


def problems_of_command(command, repository):
    for expression in re.findall(r"\$\{\{.*?\}\}", command):
        yield f"{expression} in a command allows injection, or is not a value of the matrix: pass it by env"
    for script in re.findall(r"(?<![\w./-])(?:\./)?(scripts/[\w.-]+)", command):
        if script not in repository.scripts:
            yield f"{script} does not exist or is not executable"
    for arguments in re.findall(r"scripts/test(?![\w.-])([^;&|\n]*)", command):
        yield from problems_of_checks(shlex.split(arguments, comments=True), repository)


def problems_of_checks(arguments, repository):
    words = iter(arguments)
    for word in words:
        if word == "--only":
            if (check := next(words, "")) not in repository.checks:
                yield f"scripts/test has no check {check!r}"
        elif word == "--filter":
            module = next(words, "")
            if not any(test.startswith(f"{module}::") for test in repository.tests):
                yield f"--filter {module} selects no test"
        elif word != "--all":
            yield f"scripts/test has no option {word}"


def main(files):
    files = [Path(file) for file in files] or sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    if subprocess.run([*schema, *files]).returncode != 0:
        return 1
    repository = Repository.here()
    found = [f"{file.name}: {problem}" for file in files for problem in problems(file.read_text(), repository)]
    print(*found or [f"{len(files)} workflows are valid"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
