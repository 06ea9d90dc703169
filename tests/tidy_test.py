#!/usr/bin/env python3
"""Tests of tools/tidy.py: a small tree that every check accepts, and for each check a change that it must report."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tools"))
import tidy  # noqa: E402

GOOD_TREE = {
    "src/base/CMakeLists.txt": "tfs_library(base SOURCES status.cc)\ntfs_test(base_test SOURCES status_test.cc)\n",
    "src/base/status.h": "#pragma once\nint Status();\n",
    "src/base/status.cc": '#include "base/status.h"\n\nint Status() { return 0; }\n',
    "src/base/status_test.cc": '#include "base/status.h"\n\n#include <gtest/gtest.h>\n',
    "src/codec/CMakeLists.txt": "include(more.cmake)\n",
    "src/codec/more.cmake": "tfs_library(codec SOURCES ${CMAKE_CURRENT_LIST_DIR}/json.cc)\n",
    "src/codec/json.h": '#pragma once\n#include "base/status.h"\n',
    "src/codec/json.cc": '#include "codec/json.h"\n',
    "src/transport/http_call.h": '#pragma once\n#include "base/status.h"\n',
    "src/transport/http/http_server.h": '#pragma once\n#include "transport/http_call.h"\n',
    "src/api/rest.h": '#pragma once\n#include "transport/http_call.h"\n#include "codec/json.h"\n',
    "src/server/CMakeLists.txt": "add_executable(server ${TFLITE_SERVING_ROOT}/src/main.cc)\n",
    "src/main.cc": '#include "transport/http/http_server.h"\n#include "api/rest.h"\n\nint main() {}\n',
    "tests/CMakeLists.txt": "add_test(NAME t COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/t_test.py)\n",
    "tests/t_test.py": "import unittest\n",
    "fuzz/corpus/json/1": "[\t 1] ",
    "tests/models/m.tflite": b"\0" * 1000,
}


def function_of(lines: int) -> str:
    return "int F(int a,\n      int b) {\n" + "  ++a;\n" * (lines - 3) + "}\n"


# check, files to add or replace, what the finding's line has to say. Texts that the checks would report in this very file are put together from two.
BAD_CHANGES = [
    ("layering", {"src/base/status.cc": '#include "codec/json.h"\n'}, "src/base must not include src/codec"),
    ("layering", {"src/codec/json.cc": '#include "transport/http_call.h"\n'}, "src/codec must not include src/transport"),
    ("layering", {"src/transport/http_call.h": '#pragma once\n#include "codec/json.h"\n'}, "src/transport must not include src/codec"),
    ("layering", {"src/api/rest.h": '#pragma once\n#include "transport/http/http_server.h"\n'}, "src/api must not include src/transport"),
    ("layering", {"src/codec/json.cc": '#include "json.h"\n'}, "src/codec/json.cc:1: \"json.h\" is not a file under src/"),
    ("layering", {"src/novel/CMakeLists.txt": "x(n.cc)\n", "src/novel/n.cc": "\n"}, "src/novel has no level"),
    ("sizes", {"src/base/status.h": "#pragma once\n" + "\n" * 200}, "201 lines, at most 200"),
    ("sizes", {"src/base/status.cc": "\n" * 501}, "501 lines, at most 500"),
    ("sizes", {"src/main.cc": '#include "api/rest.h"\n#include "transport/http/http_server.h"\n' + "\n" * 99}, "101 lines, at most 100"),
    ("function_sizes", {"src/base/status.cc": "\n" + function_of(71)}, "src/base/status.cc:2: a function of 71 lines, at most 70: int F(int a, int b)"),
    ("function_sizes", {"src/base/status.cc": "namespace a {\nclass B : public C<D> {\n" + function_of(71) + "};\n}\n"}, "71 lines"),
    ("function_sizes", {"src/base/status.cc": "struct B {\n  char c = '{';\n  B() : b{1} {}\n" + function_of(71) + "};\n"}, "71 lines"),
    ("orphans", {"src/base/lost.cc": "\n"}, "src/base/lost.cc: is named by no"),
    ("orphans", {"src/base/CMakeLists.txt": "tfs_library(base SOURCES status.cc) # status_test.cc\n"}, "src/base/status_test.cc: is named by no"),
    ("orphans", {"src/base/lost.h": "#pragma once\n"}, "src/base/lost.h: is included by no file"),
    ("orphans", {"tests/lost_test.py": "\n"}, "tests/lost_test.py: is named by no"),
    ("names", {"src/base/string_utils.h": "#pragma once\n"}, "'utils'"),
    ("names", {"tests/common/x.py": "\n"}, "'common'"),
    ("pragma_once", {"src/base/status.h": "#ifndef A\n#define A\n#endif\n"}, "src/base/status.h: has no #pragma once"),
    ("using_namespace", {"src/base/status.h": "#pragma once\nusing namespace std;\n"}, "src/base/status.h:2"),
    ("layout", {"README.md": "a \n"}, "README.md:1: trailing space"),
    ("layout", {"README.md": "a\r\n"}, "README.md:1: trailing space"),
    ("layout", {"README.md": "a\tb\n"}, "README.md:1: a tab"),
    ("layout", {"README.md": "a\nb"}, "no newline at the end"),
    ("file_sizes", {"tests/picture.bin": b"\0" * (tidy.MAX_FILE_BYTES + 1)}, "tests/picture.bin: 1048577 bytes"),
    ("file_sizes", {f"tests/models/{i}.tflite": b"\0" * 1_000_000 for i in range(5)}, "*.tflite: 5001000 bytes in all"),
    ("open_end", {"README.md": "\nTO" "DO: finish\n"}, "README.md:2"),
    ("open_end", {"src/base/status.cc": "// FIX" "ME\n"}, "src/base/status.cc:1"),
    ("open_end", {"README.md": "TO" "DO(someone): finish\n"}, "README.md:1"),
    ("machine_path", {"README.md": "see /wo" "rk/notes\n"}, "README.md:1"),
    ("machine_path", {"test": "cd /ho" "me/me\n"}, "test:1"),
    ("machine_path", {"test": "cd /tmp/ba" "sh_jobs\n"}, "test:1"),
    ("registry_host", {"Dockerfile": "RUN curl https://py" "pi.org/simple\n"}, "Dockerfile:1"),
    ("sleep", {"src/base/status.cc": "std::this_thread::sleep_" "for(1ms);\n"}, "src/base/status.cc:1"),
    ("sleep", {"tests/t_test.py": "time.sl" "eep(1)\n"}, "tests/t_test.py:1"),
    ("sleep", {"tests/t_test.py": "# tidy-allow(sleep): \ntime.sl" "eep(1)\n"}, "tests/t_test.py:2"),
    ("sleep", {"tests/t_test.py": "# tidy-allow(sleep): the reason\n\ntime.sl" "eep(1)\n"}, "tests/t_test.py:3"),
]

HARMLESS_CHANGES = {
    "a function of just 70 lines": {"src/base/status.cc": function_of(70)},
    "a long table": {"src/base/status.cc": "const int kTable[] = {\n" + "  1,\n" * 100 + "};\n"},
    "a long class of short functions": {"src/base/status.cc": "class A {\n" + "  int F() { return 1; }\n" * 100 + "};\n"},
    "braces in strings, comments and raw strings": {
        "src/base/status.cc": 'int F() {\n  g("{", \'{\', R"x({{")x");  // {\n  /* { */\n}\n' + "\n" * 80 + "int G() {}\n"},
    "a reason on the same line": {"tests/t_test.py": "time.sl" "eep(1)  # tidy-allow(sleep): the server offers no event for this\n"},
    "a reason on the line before": {"tests/t_test.py": "# tidy-allow(sleep): the server offers no event for this\ntime.sl" "eep(1)\n"},
    "an open end with its issue": {"README.md": "TO" "DO(#12): finish\n"},
    "a generated header": {"src/api/rest.h": '#pragma once\n#include "tensorflow_serving/apis/predict.pb.h"\n#include "transport/http_call.h"\n'},
    "build outputs": {"build/x/y.cc": "\t", ".git/utils": "x", "tests/__pycache__/helpers.pyc": b"\0"},
}


class TidyTest(unittest.TestCase):

    def findings(self, changes: dict) -> list[tidy.Finding]:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {**GOOD_TREE, **changes}.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            return tidy.find_all(pathlib.Path(folder))

    def test_accepts_a_good_tree(self):
        self.assertEqual(self.findings({}), [])

    def test_accepts_what_only_looks_bad(self):
        for name, changes in HARMLESS_CHANGES.items():
            with self.subTest(name):
                self.assertEqual(self.findings(changes), [])

    def test_reports_each_bad_change(self):
        for check, changes, text in BAD_CHANGES:
            with self.subTest(check=check, expected=text):
                found = [f"{finding.place}: {finding.message}" for finding in self.findings(changes) if finding.check == check]
                self.assertTrue(any(text in line for line in found), f"{text!r} is in none of {found}")

    def test_every_check_has_a_bad_change(self):
        self.assertEqual({check.__name__ for check in tidy.CHECKS}, {check for check, _, _ in BAD_CHANGES})

    def test_a_ratchet_allows_its_length_and_no_more_and_names_only_files_that_exist(self):
        self.addCleanup(tidy.RATCHET.clear)
        tidy.RATCHET["src/base/status.h"] = 210
        self.assertEqual(self.findings({"src/base/status.h": "#pragma once\n" + "\n" * 209}), [])
        self.assertEqual([f.message for f in self.findings({"src/base/status.h": "#pragma once\n" + "\n" * 210})], ["211 lines, at most 210"])
        tidy.RATCHET["src/base/gone.h"] = 210
        self.assertEqual([f.place for f in self.findings({})], ["src/base/gone.h"])


if __name__ == "__main__":
    unittest.main()
