"""Checks the links of the documents. Other sites are not visited: the check must not depend on their availability."""

import fnmatch
import posixpath
import re
from urllib.parse import unquote, urlsplit

# The path of a file of this repository.
OWN_PATH = re.compile(r"(src|tests|scripts|terraform|\.github)/[\w.*/-]+")
# Files that a deployment creates, which are never committed.
NOT_COMMITTED = ("*.tfvars", "*.tfvars.json", "terraform/tests/mocks")


def problems(documents, files):
    """Yields a sentence for each broken link of the documents."""
    folders = {parent for name in files for parent in parents(name)}
    anchors = {document.path: document.anchors for document in documents}
    for document in documents:
        for link in document.links:
            problem = problem_of(link, document.path, files | folders, anchors)
            if problem:
                yield f"{document.path}: ({link}): {problem}"
        for span in filter(OWN_PATH.fullmatch, document.code_spans):
            if not any(is_there(path, files | folders) for path in (span, beside(document.path, span))):
                yield f"{document.path}: `{span}` does not exist"


def problem_of(link, path, names, anchors):
    url = urlsplit(link)
    if url.scheme or url.netloc:
        is_web = url.scheme in ("http", "https") and re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?", url.netloc)
        return None if is_web or (url.scheme == "mailto" and "@" in url.path) else "not the URL of a web page"
    target = beside(path, unquote(url.path)) if url.path else path
    if target not in names:
        return "no such file in the repository"
    if url.fragment and url.fragment not in anchors.get(target, ()):
        return f"{target} has no heading for #{url.fragment}"
    return None


def beside(path, link):
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return joined.rstrip("/")


def is_there(path, names):
    path = path.rstrip("/")
    return (
        path in names
        or any(fnmatch.fnmatch(path, pattern) for pattern in NOT_COMMITTED)
        or bool(fnmatch.filter(names, path))
    )


def parents(name):
    while name := posixpath.dirname(name):
        yield name
    yield "."
