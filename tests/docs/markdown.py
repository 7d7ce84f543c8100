"""The documents of the repository: their links, headings and blocks of code."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<fence>```+)(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
LINK = re.compile(
    r"\[[^\]]*\]\(\s*<?([^)\s>]*)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)|(?:href|src)=\"([^\"]*)\"", re.MULTILINE
)


@dataclass
class Block:
    # The text after the fence: the language, and optionally a label.
    info: str
    text: str

    @property
    def language(self):
        return self.info.split(" ")[0]

    @property
    def name(self):
        """The first line, which identifies the block for the checks."""
        return self.text.splitlines()[0]


@dataclass
class Document:
    # Relative to the root of the repository.
    path: str
    text: str

    @property
    def blocks(self):
        return [Block(found["info"].strip(), found["text"]) for found in FENCE.finditer(self.text)]

    @property
    def prose(self):
        """Without the blocks of code."""
        return FENCE.sub("", self.text)

    @property
    def code_spans(self):
        return [found[2] for found in CODE_SPAN.finditer(self.prose)]

    @property
    def links(self):
        without_code = CODE_SPAN.sub("`code`", self.prose)
        return [next(filter(None, found.groups()), "") for found in LINK.finditer(without_code)]

    @property
    def anchors(self):
        """The anchors that GitHub generates for the headings."""
        anchors, seen = set(), {}
        for heading in re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", self.prose, re.MULTILINE):
            anchor = anchor_of(heading)
            count = seen.get(anchor, 0)
            seen[anchor] = count + 1
            anchors.add(f"{anchor}-{count}" if count else anchor)
        return anchors


def anchor_of(heading):
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


def tracked():
    """All files that git tracks or would add, relative to the root."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return {name for name in names if name and (ROOT / name).exists()}


def documents(files):
    return [Document(name, (ROOT / name).read_text()) for name in sorted(files) if name.endswith(".md")]
