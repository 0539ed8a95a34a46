"""The import law of the architecture, read from the source; and that `import thetanet` is quick."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thetanet

SOURCE = Path(thetanet.__file__).parent
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}

LEAVES = {"thetanet.errors", "thetanet.checks", "thetanet.theta"}
MATHEMATICS = LEAVES | {"thetanet.network"}

JOINED = {"thetanet.engine", "thetanet.descent", "thetanet.data", "thetanet.passes", "thetanet.checkpoints"}

# package or module -> the thetanet packages and modules that it may import
LAW = {
    "thetanet.errors": set(),
    "thetanet.theta": {"thetanet.errors"},
    "thetanet.checks": {"thetanet.errors", "thetanet.theta"},
    "thetanet.network": LEAVES,
    "thetanet.hessian": MATHEMATICS,
    "thetanet.descent": LEAVES | {"thetanet.descent"},
    "thetanet.engine": MATHEMATICS | {"thetanet.engine"},
    "thetanet.data.images": LEAVES | {"thetanet.data", "thetanet.picture"},
    "thetanet.data": LEAVES | {"thetanet.data"},
    "thetanet.averaging": LEAVES | JOINED,
    "thetanet.training": LEAVES | JOINED | {"thetanet.averaging"},
    "thetanet.passes": LEAVES | JOINED,
    "thetanet.checkpoints": LEAVES | {"thetanet.atomic"},
    "thetanet.stopping": set(),
    "thetanet.atomic": set(),
    "thetanet.model_file": LEAVES | {"thetanet.atomic"},
    "thetanet.labels": LEAVES,
    "thetanet.predictor": LEAVES,
    "thetanet.picture": LEAVES,
    "thetanet.plots.descent": MATHEMATICS | {"thetanet.plots"},
    "thetanet.plots": LEAVES | {"thetanet.plots"},
    "thetanet.deform": LEAVES | {"thetanet.data", "thetanet.engine"},
    "thetanet.views": LEAVES | {"thetanet.deform"},
    "thetanet.recipes": LEAVES | {"thetanet.descent", "thetanet.deform"},
}

# library -> the only files that may name it
ONLY = {
    "numba": {
        f"engine/kernels/{name}.py"
        for name in (
            "__init__",
            "caching",
            "instructions",
            "loops",
            "barrier",
            "outputs",
            "products",
            "warping",
            "zeros",
        )
    },
    "jax": {"engine/jax.py"},
    "dask": {f"engine/dask/{name}.py" for name in ("__init__", "calls", "collections")},
    "distributed": {"engine/dask/__init__.py", "engine/dask/calls.py"},
    "onnx": {"export.py"},
    "matplotlib": {
        "plots/axes.py",
        "plots/training.py",
        "plots/answers.py",
        "plots/descent.py",
        "plots/embedding.py",
    },
    "pyarrow": {"data/columns.py"},
    "PIL": {"picture.py", "reading/annotate.py"},
    "typer": {
        f"cli/{name}.py"
        for name in ("converting", "reading", "reporting", "serving", "shared", "training", "using")
    },
    "fastapi": {"web/app.py"},
    "starlette": {"web/events.py", "web/guard.py"},
    "uvicorn": {"web/__init__.py"},
    "pydantic": {"web/schemas.py"},
    "safetensors": set(),  # model_file.py writes the format itself (DECISIONS.md)
    "torch": set(),
    "pandas": set(),
}


def imports(path):
    """Every module that a file imports, anywhere in it, except for type checking alone."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by absolute names"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)


def within(module, package):
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_import_only_what_the_law_allows(module):
    allowed = next((law for part, law in LAW.items() if within(module, part)), None)
    if allowed is None:  # the thin shells may import anything but the command line
        allowed = {"thetanet"}
    for name in imports(MODULES[module]):
        if within(name, "thetanet") and name != "thetanet":
            assert any(within(name, part) for part in allowed), f"{module} must not import {name}"
        if within(name, "thetanet.cli"):
            shell = module == "thetanet.__main__" or within(module, "thetanet.cli")
            assert shell, f"{module} imports the command line"


@pytest.mark.parametrize("library", sorted(ONLY))
def test_a_library_is_named_where_it_belongs(library):
    users = {
        str(path.relative_to(SOURCE))
        for path in MODULES.values()
        if any(within(name, library) for name in imports(path))
    }
    assert users <= ONLY[library]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_can_be_read_at_one_sitting(module):
    lines = len(MODULES[module].read_text().splitlines())
    assert lines <= (150 if module == "thetanet.network" else 350)
    assert not module.endswith("utils")


def test_import_is_light():
    program = (
        "import sys, thetanet; heavy = {'sklearn', 'numba', 'scipy', 'pandas', 'matplotlib', 'typer'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_trains_and_predicts_without_scikit_learn(tmp_path):
    X = np.random.default_rng(0).integers(256, size=(40, 9), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", X=X, y=X[:, 0] > 127, X_test=X, y_test=X[:, 0] > 127)
    program = (
        "import sys; from thetanet.cli import main; data, model = sys.argv[1:]; "
        "assert main(['train', '--data', data, '--out', model]) == 0; "
        "assert main(['evaluate', model, '--data', data]) == 0; "
        "sys.exit('sklearn' in sys.modules)"  # its import takes a second, and 80 MB
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data.npz"), str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_public_names_are_what_they_say():
    for name in thetanet.__all__:
        assert getattr(thetanet, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        thetanet.nothing  # noqa: B018
