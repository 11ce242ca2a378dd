"""The house: no file imports, by however many steps, a file that imports it; types count too."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("diffinv", "diffinv_tui", include_external_packages=True)


def test_there_is_no_ring_anywhere(graph):
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 150
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the ring


@pytest.mark.parametrize("module", ["diffinv.contracts", "diffinv.errors"])
def test_what_plugins_see_imports_nothing_of_ours(graph, module):
    for inner in {module, *graph.find_descendants(module)}:
        for imported in graph.find_modules_directly_imported_by(inner):
            ours = imported == "diffinv" or imported.startswith("diffinv.")
            assert not ours or imported.startswith(module), f"{inner} imports {imported}"


def test_the_template_needs_the_contracts_and_the_hooks_alone():
    found = set()
    for path in (ROOT / "plugins" / "template" / "diffinv_template").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("diffinv."):
                found.add(node.module)
    assert found == {"diffinv.contracts", "diffinv.hookspecs"}
