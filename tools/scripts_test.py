"""A script does nothing when it is imported: its work lies behind `if __name__ == "__main__"`."""

import ast
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def is_work(node: ast.stmt) -> bool:
    """A bare call at the top of a file: main(), sys.exit(main())."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and "main" in ast.unparse(node.value)


class Scripts(unittest.TestCase):
    def test_importing_one_runs_nothing(self):
        scripts = [path for folder in ("src", "tests", "tools", "bench", "models") for path in (ROOT / folder).rglob("*.py")]
        self.assertGreater(len(scripts), 10)
        for path in scripts:
            with self.subTest(path=str(path.relative_to(ROOT))):
                self.assertEqual([n.lineno for n in ast.parse(path.read_text()).body if is_work(n)], [])

    def test_a_bare_call_is_found(self):
        self.assertTrue(is_work(ast.parse("sys.exit(main())").body[0]))
        self.assertFalse(is_work(ast.parse("if __name__ == '__main__':\n    main()").body[0]))


if __name__ == "__main__":
    unittest.main()
