"""The packages of the harness import only downwards and without circles, and no file or folder is too large."""

import ast
from pathlib import Path

import pytest

import parity_tests

ROOT = Path(parity_tests.__file__).parent
# Each package may import those before it, unless RESTRICTED says less.
ORDER = (
    "adapter", "record", "ours_arrays", "ours", "replay", "judge", "report", "commands", "fuzz", "mutation", "causes",
    "sensitivity", "curves", "false_alarms", "examples", "why", "__main__",
)  # fmt: skip
ONLY_RECORD = "official"
RESTRICTED = {
    "examples": {"adapter"}, "ours_arrays": {"adapter"}, "ours": {"adapter", "ours_arrays"}, "record": set(),
    ONLY_RECORD: {"record"},
}  # fmt: skip
PRODUCT = {"pytorch_sketch_rnn", "weight_port"}
LONGEST_FILE, LARGEST_FOLDER = 420, 15
DATA_TABLES: set[str] = set()  # files that hold nothing but a table, by their path below parity_tests


def sources() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] != "tests"]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("parity_tests", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def package_of(module: str) -> str:
    """The first name below ``parity_tests``: a package, or a module of its own."""
    return module.split(".")[1] if "." in module else ""


MODULES = {module_of(path): path for path in sources()}


def imported_by(path: Path) -> set[str]:
    """The modules of the harness that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & MODULES.keys() or {node.module}
    return {name for name in found if name.split(".")[0] == "parity_tests"}


IMPORTS = {module: imported_by(path) for module, path in MODULES.items()}


def packages_imported_by(package: str) -> set[str]:
    found = {package_of(name) for module, names in IMPORTS.items() if package_of(module) == package for name in names}
    return found - {package, ""}


def test_every_package_has_a_place_in_the_order():
    assert {package_of(module) for module in MODULES} - {""} <= {*ORDER, ONLY_RECORD}


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_packages_below_it(package):
    below = RESTRICTED.get(package, set(ORDER[: ORDER.index(package)]))
    assert packages_imported_by(package) <= below


def test_the_official_process_imports_only_record():
    assert packages_imported_by(ONLY_RECORD) == {"record"}


def test_the_official_process_uses_only_stroke_sets_and_names_of_the_product():
    found = set()
    for module, path in MODULES.items():
        if package_of(module) == ONLY_RECORD:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [node.module] if isinstance(node, ast.ImportFrom) else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                found |= {name for name in names if name.split(".")[0] in PRODUCT}
    assert found == {"pytorch_sketch_rnn.data.npz", "weight_port.names"}


def test_no_import_circles():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in IMPORTS.get(module, ()):
                if name != module:
                    visit(name, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_no_file_is_too_long_except_tables():
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE and name not in DATA_TABLES} == {}


def test_no_folder_has_too_many_modules():
    for folder in {path.parent for path in sources()}:
        modules = [path for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
        assert len(modules) <= LARGEST_FOLDER, folder
