"""What is taken out of the image's environment: what is named, of the distribution that has it, and
nothing that the services import."""

from __future__ import annotations

import ast
import csv
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.image_scripts import ROOT, script

prune = script("prune")
OURS = ("sdk/homeport", "control_plane", "provisioner", "deployment_units",
        "data-sharing/data_sharing", "simulation", "console")  # fmt: skip
CEL = [
    "cel_expr_python/cel.py", "cel_expr_python/cel.pyi", "cel_expr_python/ext/ext_math.so",
    "cel_expr_python/ext/ext_proto.so", "bazel-project/setup.py", "bazel-project/external/a/b.py",
]  # fmt: skip
NUMPY = [
    "numpy/__init__.py", "numpy/testing/__init__.py", "numpy/lib/tests/test_a.py",
    "numpy/tests/test_b.py", "numpy/_core/include/numpy/a.h", "numpy/random/lib/libnpyrandom.a",
    "numpy/random/__init__.pxd",
]  # fmt: skip


def install(folder: Path, name: str, paths: list[str]) -> Path:
    """A distribution of these files, and its record."""
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir()
    record = information / "RECORD"
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("12345")
    with record.open("w", newline="") as file:
        csv.writer(file).writerows([[path, "sha256=x", "5"] for path in paths])
        csv.writer(file).writerow([f"{information.name}/RECORD", "", ""])
    return record


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*")
        if path.is_file() and not path.parent.name.endswith(".dist-info")
    }  # fmt: skip


def test_what_is_named_goes_and_the_record_says_so(tmp_path: Path) -> None:
    records = [install(tmp_path, "cel_expr_python", CEL), install(tmp_path, "numpy", NUMPY)]
    assert prune.prune(tmp_path) == 5 * 9
    left = {"cel_expr_python/cel.py", "cel_expr_python/ext/ext_math.so", "numpy/__init__.py",
            "numpy/testing/__init__.py"}  # fmt: skip
    assert files(tmp_path) == left
    recorded = {row[0] for path in records for row in csv.reader(path.read_text().splitlines())}
    assert {path for path in recorded if "dist-info" not in path} == left
    assert not (tmp_path / "bazel-project").exists()
    assert not (tmp_path / "numpy/lib").exists()


def test_a_folder_of_another_distribution_stays_and_is_told(tmp_path: Path) -> None:
    """What is named for one distribution is not taken from another one."""
    install(tmp_path, "cel_expr_python", CEL)
    install(tmp_path, "other", ["bazel-project/mine.py"])
    with pytest.raises(SystemExit, match=r"bazel-project: no module.*prune\.py"):
        prune.prune(tmp_path)
    assert files(tmp_path) >= {"bazel-project/mine.py"}
    assert "bazel-project/setup.py" not in files(tmp_path)


def test_a_record_that_is_not_true_ends_the_build(tmp_path: Path) -> None:
    install(tmp_path, "numpy", NUMPY)
    (tmp_path / NUMPY[2]).unlink()
    with pytest.raises(FileNotFoundError):
        prune.prune(tmp_path)


@pytest.mark.parametrize(
    ("name", "stranger"),
    [
        pytest.param("numpy", False, id="a package"),
        pytest.param("numpy.libs", False, id="its libraries"),
        pytest.param("_yaml", False, id="a package of another's"),
        pytest.param("typing_extensions.py", False, id="a module"),
        pytest.param("_cffi_backend.cpython-313-x86_64-linux-gnu.so", False, id="an extension"),
        pytest.param("x.abi3.so", False, id="an extension for all versions"),
        pytest.param("numpy-2.4.6.dist-info", False, id="what is known of a distribution"),
        pytest.param("certifi-2026.10.19.post1.dist-info", False, id="a version with a date"),
        pytest.param("a.pth", False, id="a path"),
        pytest.param("bazel-project", True, id="a build folder"),
        pytest.param("README.md", True, id="a text"),
        pytest.param("build-1.0.egg", True, id="an egg"),
        pytest.param("LICENSE.txt", True, id="a licence at the top"),
    ],
)
def test_what_is_no_module_is_seen(tmp_path: Path, name: str, stranger: bool) -> None:
    (tmp_path / name).mkdir()
    assert prune.strangers(tmp_path) == ([name] if stranger else [])


def taken_modules() -> set[str]:
    """Modules of what is installed here that the image has not."""
    found = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"].lower().replace("-", "_").replace(".", "_")
        for file in distribution.files or ():
            if file.suffix in (".py", ".so") and prune.named(name, file.as_posix()):
                stem = file.name.partition(".")[0]
                parts = file.parts[:-1] if stem == "__init__" else (*file.parts[:-1], stem)
                found.add(".".join(parts))
    return found


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_nothing_goes_that_services_import() -> None:
    taken = taken_modules()
    assert "cel_expr_python.ext.ext_proto" in taken
    wanted = {
        name for folder in OURS for path in (ROOT / folder).rglob("*.py") for name in imported(path)
    }
    assert "cel_expr_python.ext.ext_math" in wanted
    assert wanted & taken == set()


def test_the_build_takes_it_out_before_it_compiles() -> None:
    recipe = (ROOT / "Containerfile").read_text()
    assert 0 < recipe.index('prune.py "$site"') < recipe.index("compileall")
