#!/usr/bin/env python3
"""Checks properties of the source tree that no compiler sees: who includes whom, sizes, orphans, names, leftovers.

usage: tools/tidy.py [ROOT]      Prints one line a finding and exits with 1 if there are any. A test of ctest; tests/tidy_test.py tests it.

A line may be excused from a line-by-line check (sleep, open_end, machine_path, registry_host) by a comment on it, or on the line before:
tidy-allow(sleep): the reason.
"""

import os
import pathlib
import posixpath
import re
import sys
from typing import Callable, Iterator, NamedTuple

# The folders of src/ and which others each may include: the layering of ARCHITECTURE.md, lowest first.
_REQUEST = "base tensor telemetry wire servable example"
_STAGES = "codec serving lifecycle batching runtime custom"
MAY_INCLUDE = {
    "base": "",
    "tensor": "base",
    "http_client": "base",
    "telemetry": "base http_client",
    "wire": "base",
    "transport": "base telemetry",
    "transport/http": "base telemetry transport",
    "transport/grpc": "base telemetry transport",
    "storage": "base http_client telemetry",
    "servable": "base tensor telemetry",
    "config": "base telemetry servable",
    "example": "base wire",
    **{stage: _REQUEST for stage in _STAGES.split()},
    "api": f"{_REQUEST} {_STAGES}",
    "server": f"{_REQUEST} {_STAGES} transport transport/http transport/grpc config storage api",
}
# The one door between siblings of different kinds: api is called by the transports through these abstract classes.
CALL_INTERFACE = re.compile(r"transport/\w+_call\.h")

MAX_LINES = {".h": 200, ".cc": 500}
MAX_MAIN_LINES = 100
MAX_FUNCTION_LINES = 70
# Files that are longer than they should be: their path and the length they may have until they are split. Never raise one.
RATCHET: dict[str, int] = {}

MAX_FILE_BYTES = 1 << 20
MAX_MODELS_BYTES = 5_000_000

SKIPPED_FOLDERS = {".git", "build", "__pycache__", ".pytest_cache"}
UNCHECKED_TEXT = ("fuzz/corpus/",)  # inputs: any bytes
FORBIDDEN_NAMES = {"util", "utils", "common", "helper", "helpers", "misc"}


class Finding(NamedTuple):
    check: str
    place: str
    message: str


class File:
    """One file of the tree; `text` is None where it is not text, and `lines` empty."""

    def __init__(self, root: pathlib.Path, path: pathlib.Path):
        self.path = path.relative_to(root).as_posix()
        self.parts = self.path.split("/")
        self.suffix = path.suffix
        data = path.read_bytes()
        self.size = len(data)
        self.text = None
        if b"\0" not in data and not self.path.startswith(UNCHECKED_TEXT):
            try:
                self.text = data.decode("utf-8")
            except UnicodeDecodeError:
                pass
        self.lines = self.text.split("\n") if self.text is not None else []

    @property
    def is_cpp(self) -> bool:
        return self.suffix in (".h", ".cc") and self.text is not None

    @property
    def line_count(self) -> int:
        return len(self.lines) - (self.lines[-1:] == [""])

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"

    def quoted_includes(self) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(self.lines, 1):
            if match := re.match(r'\s*#\s*include\s+"([^"]+)"', line):
                yield number, match[1]


class Tree:
    def __init__(self, root: pathlib.Path):
        self.files = []
        for folder, subfolders, names in os.walk(root):
            subfolders[:] = sorted(set(subfolders) - SKIPPED_FOLDERS)
            for name in sorted(names):
                path = pathlib.Path(folder, name)
                if path.is_file():
                    self.files.append(File(root, path))
        self.paths = {file.path for file in self.files}

    def cpp(self, top: str = "") -> Iterator[File]:
        return (file for file in self.files if file.is_cpp and file.path.startswith(top))


Check = Callable[[Tree], Iterator[tuple[str, str]]]


def layering(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.cpp("src/"):
        if len(file.parts) == 2:
            continue  # src/main.cc may know everybody
        folder = "/".join(file.parts[1:-1])
        if folder not in MAY_INCLUDE:
            yield file.path, f"the folder src/{folder} has no level in tools/tidy.py"
            continue
        allowed = {folder, *MAY_INCLUDE[folder].split()}
        for line, include in file.quoted_includes():
            if include.endswith(".pb.h"):
                continue
            target = posixpath.dirname(include)
            if f"src/{include}" not in tree.paths:
                yield file.at(line), f'"{include}" is not a file under src/'
            elif target not in allowed and not (folder == "api" and CALL_INTERFACE.fullmatch(include)):
                yield file.at(line), f"src/{folder} must not include src/{target} ({include}): it may include {sorted(allowed)}"


def sizes(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.cpp():
        limit = MAX_MAIN_LINES if file.path == "src/main.cc" else MAX_LINES[file.suffix]
        limit = max(limit, RATCHET.get(file.path, 0))
        if file.line_count > limit:
            yield file.path, f"{file.line_count} lines, at most {limit}"
    for path in RATCHET.keys() - tree.paths:
        yield path, "is in the ratchet of tools/tidy.py, but does not exist"


def _without_comments_and_literals(text: str) -> str:
    """The same text, as long and with the same lines, in which braces and parentheses are only those of the code."""
    token = re.compile(r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:\\\n|[^\n])*',
                       re.DOTALL | re.MULTILINE)
    return token.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


_SCOPE = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b[^()]*$")


def functions(text: str) -> Iterator[tuple[int, int, str]]:
    """The first line, the number of lines and the head of every function (not of the lambdas inside them)."""
    code = _without_comments_and_literals(text)
    open_scopes = 0  # namespaces and classes around this place
    inside = 0       # braces since the head of the current function or initializer
    start = 0        # where the current declaration begins
    head, head_at = "", 0
    for match in re.finditer(r"[{};]", code):
        at = match.start()
        if match[0] == "{" and inside == 0:
            declaration = code[start:at]
            head = declaration.strip()
            head_at = start + len(declaration) - len(declaration.lstrip())
            if _SCOPE.search(re.sub(r"<[^<>]*>", "", head)):
                open_scopes += 1
                start = match.end()
            else:
                inside = 1
        elif match[0] == "{":
            inside += 1
        elif match[0] == "}" and inside == 1:
            inside = 0
            start = match.end()
            if "(" in head and not head.endswith("="):
                first = code.count("\n", 0, head_at) + 1
                yield first, code.count("\n", 0, at) + 2 - first, " ".join(head.split())
        elif match[0] == "}" and inside:
            inside -= 1
        elif match[0] == "}":
            open_scopes -= 1
            start = match.end()
        elif inside == 0:
            start = match.end()


def function_sizes(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.cpp():
        for line, length, head in functions(file.text):
            if length > MAX_FUNCTION_LINES:
                yield file.at(line), f"a function of {length} lines, at most {MAX_FUNCTION_LINES}: {head[:80]}"


def orphans(tree: Tree) -> Iterator[tuple[str, str]]:
    included = {include for file in tree.cpp() for _, include in file.quoted_includes()}
    named = set(_named_by_cmake(tree))
    for file in tree.files:
        if file.suffix == ".h" and file.parts[0] == "src" and file.path.removeprefix("src/") not in included:
            yield file.path, "is included by no file"
        if (file.suffix == ".cc" or file.path.endswith("_test.py")) and file.path not in named:
            yield file.path, "is named by no CMakeLists.txt or .cmake file, so nothing builds or runs it"


def _named_by_cmake(tree: Tree) -> Iterator[str]:
    """The paths of the sources and scripts in CMake's lists, which name them relative to their own folder or by ${TFLITE_SERVING_ROOT}."""
    for file in tree.files:
        if file.parts[-1] == "CMakeLists.txt" or file.suffix == ".cmake":
            folder = posixpath.dirname(file.path)
            for word in re.findall(r"[^\s()\";]+\.(?:cc|py)\b", re.sub(r"#.*", "", file.text or "")):
                word = re.sub(r"\$\{CMAKE_CURRENT_(SOURCE|LIST)_DIR\}/", "", word).replace("${TFLITE_SERVING_ROOT}", "/")
                yield posixpath.normpath(posixpath.join("/" + folder, word)).lstrip("/")


def names(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.files:
        for part in file.parts:
            words = re.split(r"[^a-z]+", part.lower())
            if bad := FORBIDDEN_NAMES.intersection(words):
                yield file.path, f"'{bad.pop()}' in a name says nothing: name what it is about"


def pragma_once(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.cpp():
        if file.suffix == ".h" and "#pragma once" not in file.lines:
            yield file.path, "has no #pragma once"


def using_namespace(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.cpp():
        for number, line in enumerate(file.lines, 1):
            if file.suffix == ".h" and re.match(r"\s*using namespace\b", line):
                yield file.at(number), "using namespace in a header changes every file that includes it"


def layout(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.files:
        if file.text is None:
            continue
        for number, line in enumerate(file.lines, 1):
            if line != line.rstrip():
                yield file.at(number), "trailing space"
            if "\t" in line:
                yield file.at(number), "a tab"
        if file.text and not file.text.endswith("\n"):
            yield file.path, "no newline at the end"


def file_sizes(tree: Tree) -> Iterator[tuple[str, str]]:
    for file in tree.files:
        if file.size > MAX_FILE_BYTES:
            yield file.path, f"{file.size} bytes, at most {MAX_FILE_BYTES}"
    models = sum(file.size for file in tree.files if file.suffix == ".tflite")
    if models > MAX_MODELS_BYTES:
        yield "*.tflite", f"{models} bytes in all, at most {MAX_MODELS_BYTES}"


def _line_check(name: str, pattern: str, message: str, applies: Callable[[File], bool] = lambda file: True) -> Check:
    """A check that reports every line with `pattern`, unless it is excused there."""
    wanted = re.compile(pattern)
    excuse = re.compile(rf"tidy-allow\({name}\): *\w")

    def check(tree: Tree) -> Iterator[tuple[str, str]]:
        for file in filter(applies, tree.files):
            for number, line in enumerate(file.lines, 1):
                if wanted.search(line) and not any(excuse.search(text) for text in file.lines[max(0, number - 2):number]):
                    yield file.at(number), f"{message}: {line.strip()[:100]}"

    check.__name__ = name
    return check


CHECKS: list[Check] = [
    layering, sizes, function_sizes, orphans, names, pragma_once, using_namespace, layout, file_sizes,
    # tidy-allow(open_end): the pattern itself
    _line_check("open_end", r"\b(?:TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))", "finish it, or open an issue and write TODO(#number)"),
    _line_check("machine_path", r"(?:^|[^\w.])/(?:work|farm|home|Users)/|/tmp/bash_\w", "a path of one developer's machine"),
    _line_check("registry_host", r"\b(?:pypi|pythonhosted|npmjs|crates|golang|maven|debian)[a-z.-]*\.(?:org|io|com)\b",
                "a package registry's host: the machine's own settings choose it"),
    # tidy-allow(sleep): the pattern itself
    _line_check("sleep", r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\b|\btime\.sleep\(|(?<![\w.])sleep\(",
                "wait for the event itself, with a deadline", lambda file: file.suffix in (".h", ".cc", ".py")),
]


def find_all(root: pathlib.Path) -> list[Finding]:
    tree = Tree(root)
    return [Finding(check.__name__, place, message) for check in CHECKS for place, message in check(tree)]


def main() -> int:
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    findings = find_all(root)
    for finding in findings:
        print(f"{finding.place}: {finding.message} [{finding.check}]")
    if not findings:
        print(f"{len(CHECKS)} checks found nothing")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
