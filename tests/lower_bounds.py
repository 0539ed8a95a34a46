"""Install the lowest versions that pyproject.toml allows, all together, and run tests: `make lower-bounds`.

The environment is build/lower-bounds. What a library needs in turn is as new as it may be, as for a user for
whom another package holds one back. Tests that need more than the extras for users are skipped or left out.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "build" / "lower-bounds"
EXTRAS = ("picture", "plot", "table", "cluster", "web")
TOOLS = (
    "array-api-strict",
    "dask[array,dataframe]",
    "httpx",
    "hypothesis",
    "pandas",
    "polars",
    "pytest",
    "safetensors",
)
TESTS = (
    "test_network.py", "test_theta.py", "test_hessian.py", "engine/test_engine.py", "descent/test_descent.py",
    "classifier/test_estimator.py", "data/test_source_conformance.py", "data/test_tables.py",
    "data/test_dataset.py", "data/test_scaling.py", "training/test_training.py", "training/test_cluster.py",
    "models", "images/test_frame.py", "plots", "report/test_report_inputs.py", "reading", "web/test_api.py",
    "web/test_serve.py", "cli",
)  # fmt: skip


def lower_bounds(project: dict) -> dict[str, str]:
    """Return the lowest allowed version of each library that the package, its extras and these tests need."""
    optional = project["optional-dependencies"]
    tools = [line for line in optional["test"] if re.match(r"[^<>=]+", line).group() in TOOLS]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in optional[extra]), *tools]
    matches = [re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", line) for line in lines]
    return {match[1]: match[2] for match in matches if match}


def main() -> int:
    """Run everything; the exit status is that of the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = lower_bounds(project)
    shutil.rmtree(PLACE, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", PLACE], check=True)
    constraints = PLACE / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in bounds.items()))
    print(constraints.read_text(), flush=True)
    python, package = PLACE / "bin" / "python", f"{ROOT}[{','.join(EXTRAS)}]"
    install = [python, "-m", "pip", "install", "--constraint", constraints, package, *TOOLS]
    installed = subprocess.run(install, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if installed.returncode:
        print(installed.stdout)
        return installed.returncode
    # Old libraries warn of what newer ones have changed: here warnings are no errors.
    pytest = [python, "-m", "pytest", "-m", "not soak", "--override-ini=filterwarnings="]
    return subprocess.run([*pytest, *(str(ROOT / "tests" / test) for test in TESTS)], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
