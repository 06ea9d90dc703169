"""docs/conformance.md says of each row of the original's behaviour which test shows it: that test must exist."""

import json
import re

import pytest

from server_process import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "conformance.md"
VERDICTS = ("same", "different on purpose", "not applicable", "not yet")
NEED_A_TEST = VERDICTS[:2]
TITLES = ("the original", "here", "test")
GOLDEN_TESTS = re.compile(r'(\w+\.json): "(.+)"')
PYTHON_TEST = re.compile(r"(test_\w+\.py)::(?:(\w+)::)?(\w+)")
UNIT_TESTS = re.compile(r"(\w+_test\.cc): (\w+)\.([\w, ]+)")


def rows():
    for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(TITLES) and tuple(cells) != TITLES and "---" not in line:
            yield pytest.param(*cells[1:], id=f"line {number}")


def exist(tests):
    """Whether all of them do; several of one file, and of one suite, are named together."""
    if match := GOLDEN_TESTS.fullmatch(tests):
        transcripts = json.loads((REPOSITORY / "tests" / "golden" / match[1]).read_text())
        return set(match[2].split('", "')) <= {transcript["name"] for transcript in transcripts}
    if match := PYTHON_TEST.fullmatch(tests):
        text = (REPOSITORY / "tests" / "e2e" / match[1]).read_text()
        if match[2]:
            text = re.search(rf"^class {match[2]}\b.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)[0]
        indentation = "    " if match[2] else ""
        return re.search(rf"^{indentation}def {match[3]}\(", text, re.MULTILINE)
    match = UNIT_TESTS.fullmatch(tests)
    assert match, f"{tests} is not the name of a test"
    text = "".join(path.read_text() for folder in ("src", "proto") for path in (REPOSITORY / folder).rglob(match[1]))
    return all(re.search(rf"^TEST(_[FP])?\({match[2]}, {name}\)", text, re.MULTILINE) for name in match[3].split(", "))


def test_there_are_rows():
    assert len(list(rows())) > 250


@pytest.mark.parametrize("here, tests", list(rows()))
def test_row(here, tests):
    verdict = next((verdict for verdict in VERDICTS if here.startswith(verdict)), None)
    assert verdict, f"{here!r} begins with none of {VERDICTS}"
    names = re.findall(r"`([^`]+)`", tests)
    assert names or verdict not in NEED_A_TEST, "no test"
    missing = [name for name in names if not exist(name)]
    assert not missing
