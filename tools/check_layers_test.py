"""Each rule of check_layers.py is broken once in a tree of its own, and must be reported at the right place."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import check_layers


class CheckLayers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def faults(self) -> list[str]:
        return check_layers.check(self.root)[0]

    def assert_one(self, start: str, words: str) -> None:
        faults = self.faults()
        self.assertEqual(len(faults), 1, faults)
        self.assertTrue(faults[0].startswith(start), faults[0])
        self.assertIn(words, faults[0])

    def test_a_good_tree(self):
        self.put("src/base/a.h", '#pragma once\n#if defined(__x86_64__)\n#endif\n#include "gale/error.h"\n')
        self.put("src/tensor/b.h", '#pragma once\n#include <vector>\n#include "base/a.h"\n#include "tensor/c.h"\n')
        self.put("src/nn/c.cpp", '#include "nn/x.h"\n#include "kernels/ops.h"\n')
        self.put("src/nn/parts/d.cpp", '#include "e.h"\n')
        self.put("src/nn/parts/e.h", "#pragma once\n")
        self.put("src/engine/f.cpp", '#include "gale/engine.h"\n#include "scheduler/s.h"\n')
        self.put("bench/g.cpp", '#include "cli/anything.h"\n')
        self.assertEqual(self.faults(), [])

    def test_upward_include(self):
        self.put("src/base/a.h", '#pragma once\n\n#include "engine/engine.h"\n')
        self.assert_one("src/base/a.h:3:", "base (layer 0) may not include engine (layer 9)")

    def test_neighbour_on_the_same_level(self):
        self.put("src/kernels/a.cpp", '  #  include "tokenizer/bpe.h"\n')
        self.assert_one("src/kernels/a.cpp:1:", "kernels (layer 2) may not include tokenizer (layer 2)")

    def test_tests_obey_too(self):
        self.put("src/tensor/a_test.cpp", '#include "nn/linear.h"\n')
        self.assert_one("src/tensor/a_test.cpp:1:", "nn (layer 5)")

    def test_unknown_rooms(self):
        self.put("src/attic/a.cpp", "int a;\n")
        self.assert_one("src/attic/a.cpp:1:", "attic is not a room")
        self.put("src/attic/a.cpp", "")
        self.put("src/cli/b.cpp", '#include "loft/b.h"\n')
        self.assertIn("loft is not a room", self.faults()[1])

    def test_file_in_no_room(self):
        self.put("src/main.cpp", "int main() {}\n")
        self.assert_one("src/main.cpp:1:", "lies in no room")

    def test_relative_and_unknown_includes(self):
        self.put("src/nn/a.cpp", '#include "../base/a.h"\n')
        self.assert_one("src/nn/a.cpp:1:", "is relative")
        self.put("src/nn/a.cpp", '#include "nowhere.h"\n')
        self.assert_one("src/nn/a.cpp:1:", "neither in this folder")

    def test_public_headers(self):
        self.put("src/models/a.cpp", '#include "gale/engine.h"\n')
        self.assert_one("src/models/a.cpp:1:", "is for engine (layer 9) and up")
        with mock.patch.dict(check_layers.PUBLIC_IMPLEMENTED_BY, {"engine.h": {"models"}}):
            self.assertEqual(self.faults(), [])

    def test_comments_and_strings_are_not_includes(self):
        self.put("src/base/a.cpp", '// #include "cli/a.h"\n/*\n#include "cli/a.h"\n*/\nauto s = R"(\n#include "cli/a.h"\n#if 1\n)";\n')
        self.assertEqual(self.faults(), [])

    def test_conditional_budget(self):
        self.put("src/nn/a.cpp", "#ifdef A\n#elif B\n#else\n#endif\n" + "int x;\n" * 10)
        faults = self.faults()
        self.assertEqual([f.split(": ")[0] for f in faults], ["src/nn/a.cpp:1", "src/nn/a.cpp:2"])
        self.assertIn("2 outside src/base, 1 allowed", faults[0])
        self.put("src/nn/b.cpp", "\n" * 799)
        self.put("src/nn/c.cpp", "\n" * 799)
        self.assertEqual(self.faults(), [])

    def test_long_file(self):
        self.put("tests/a.cpp", "\n" * 800)
        self.assertEqual(self.faults(), [])
        self.put("tests/a.cpp", "\n" * 801)
        self.assert_one("tests/a.cpp:801:", "801 lines, at most 800")

    def test_exit_status(self):
        self.put("src/base/a.h", "#pragma once\n")
        for expected, text in ((0, "#pragma once\n"), (1, '#include "cli/a.h"\n')):
            self.put("src/base/a.h", text)
            with mock.patch.object(sys, "argv", ["check_layers.py", "--root", str(self.root)]), \
                    contextlib.redirect_stdout(io.StringIO()) as out:
                self.assertEqual(check_layers.main(), expected)
            self.assertIn(f"layers: {expected} violations; 0 preprocessor conditionals", out.getvalue())

    def test_this_tree(self):
        self.assertEqual(check_layers.check(Path(check_layers.__file__).resolve().parent.parent)[0], [])


if __name__ == "__main__":
    unittest.main()
