"""The import law of the architecture, read from the source; and that `import thetanet` is quick."""

import subprocess
import sys

import numpy as np
import pytest

import thetanet
from import_graph import (
    MODULES,
    NO_ROOMS,
    SOURCE,
    find_circles,
    floors_of,
    imports,
    module_arrows,
    room_arrows,
    room_of,
)

MATHEMATICS = {"errors", "theta", "checks", "network", "hessian"}
BELOW = MATHEMATICS | {"descent", "engine", "data", "images", "models"}

# room -> the other rooms, or modules of theirs, that it may import
LAW = {
    "errors": set(),
    "theta": {"errors"},
    "checks": {"errors", "theta"},
    "network": {"errors", "theta", "checks"},
    "hessian": {"errors", "theta", "checks", "network"},
    "descent": MATHEMATICS,
    "engine": MATHEMATICS | {"descent.rule"},
    "data": MATHEMATICS,
    "images": MATHEMATICS | {"data", "engine.cpu"},
    "models": MATHEMATICS | {"data", "engine"},
    "training": BELOW,
    "classifier": BELOW | {"training"},
    "evaluation": MATHEMATICS | {"data", "engine", "images", "models"},
    "reading": MATHEMATICS | {"data", "engine", "images", "models"},
    "plots": MATHEMATICS,
    "report": BELOW | {"evaluation", "plots"},
    "web": BELOW | {"training", "evaluation", "plots", "reading"},
    "cli": BELOW | {"training", "evaluation", "plots", "reading", "report", "web"},
    "__main__": {"cli"},
}
MOST_ROOMS, MOST_FLOORS = 20, 12

# library -> the only files, or folders, that may name it
ONLY = {
    "numba": {"engine/cpu/kernels/"},
    "jax": set(),
    "dask": {"data/formats/dask.py", "engine/dask/"},
    "distributed": {"engine/dask/"},
    "onnx": set(),
    "matplotlib": {"plots/"},
    "pyarrow": {"data/formats/table.py"},
    "PIL": {"data/formats/picture.py", "reading/annotate.py"},
    "typer": {"cli/"},
    "fastapi": {"web/app.py"},
    "starlette": {"web/events.py", "web/guard.py"},
    "uvicorn": {"web/__init__.py"},
    "pydantic": {"web/schemas.py"},
    "safetensors": set(),  # models/model_file.py writes the format itself (DECISIONS.md)
    "torch": set(),
    "pandas": set(),
}


def within(module, package):
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"thetanet"}))
def test_modules_import_only_what_the_law_allows(module):
    room = room_of(module)
    allowed = [f"thetanet.{name}" for name in LAW[room] | {room}]
    for name in imports(MODULES[module]):
        if within(name, "thetanet") and name != "thetanet":
            assert any(within(name, part) for part in allowed), f"{module} must not import {name}"


def test_the_house_has_few_rooms_and_floors_and_no_circles(capsys):
    arrows = room_arrows()
    rooms, circles = set(arrows) - NO_ROOMS, find_circles(module_arrows())
    assert find_circles(arrows) == []
    floors = max(floors_of(arrows).values())
    with capsys.disabled():
        print(f" [rooms {len(rooms)}, floors {floors}, circles {len(circles)}] ", end="")
    assert rooms <= set(LAW)
    assert len(rooms) <= MOST_ROOMS
    assert floors <= MOST_FLOORS
    assert circles == []


@pytest.mark.parametrize("library", sorted(ONLY))
def test_a_library_is_named_where_it_belongs(library):
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in MODULES.values()
        if any(within(name, library) for name in imports(path))
    }
    assert {user for user in users if not user.startswith(tuple(ONLY[library]))} == set()


def test_whether_data_is_in_memory_or_on_a_cluster_is_asked_in_data_and_engine_only():
    for module, path in MODULES.items():
        if room_of(module) not in ("data", "engine"):
            text = path.read_text()
            for words in (
                "is_source",
                '"__dask',
                "'__dask",
                "IN_MEMORY_BYTES",
                "ArraySurvey",
                "PartsSurvey(",
            ):
                assert words not in text, f"{module} asks what data/ decides: {words}"


def test_the_derivation_can_be_read_at_one_sitting():
    assert len(MODULES["thetanet.network"].read_text().splitlines()) <= 150
    assert not any(module.endswith("utils") for module in MODULES)


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
