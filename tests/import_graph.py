"""The structure of the package, from its imports: rooms, floors and circles.

A room is a file or a package at the top of src/thetanet. An arrow goes from a module to each module that it
imports, wherever the import stands: in functions, and for type checking too. A floor is one more than the
highest floor among what a room imports.

`python tests/import_graph.py` prints the three numbers and the rooms from the top floor down.
"""

import ast
from pathlib import Path

import thetanet

SOURCE = Path(thetanet.__file__).parent
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}

NO_ROOMS = {"__init__", "__main__"}  # the list of public names, and the way in for `python -m`


def imports(path):
    """Yield every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by absolute names"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)


def module_arrows():
    """Return for each module the modules of ours that it imports."""
    return {module: set(imports(path)) & set(MODULES) - {module} for module, path in MODULES.items()}


def room_of(module):
    """Return the file or package at the top that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def room_arrows():
    """Return for each room the rooms that it imports."""
    arrows = {}
    for module, names in module_arrows().items():
        room = arrows.setdefault(room_of(module), set())
        room |= {room_of(name) for name in names} - {room_of(module)}
    return arrows


def find_circles(arrows):
    """Return groups of nodes that reach each other (Tarjan 1972)."""
    index, low, stack, circles = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in arrows.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            circle = []
            while not circle or circle[-1] != node:
                circle.append(stack.pop())
            if len(circle) > 1:
                circles.append(sorted(circle))

    for node in arrows:
        if node not in index:
            visit(node)
    return circles


def floors_of(arrows):
    """Return the floor of each node of a graph without circles: 1 for what imports nothing."""
    floors = {}

    def floor(node):
        if node not in floors:
            floors[node] = 1 + max((floor(other) for other in arrows[node]), default=0)
        return floors[node]

    for node in arrows:
        floor(node)
    return floors


def main():
    """Print the numbers and the rooms."""
    arrows = room_arrows()
    rooms = set(arrows) - NO_ROOMS
    circles = find_circles(module_arrows())
    print(f"rooms {len(rooms)}, circles {len(circles)}, ", end="")
    if room_circles := find_circles(arrows):
        print(f"circles of rooms {room_circles}")
        return
    floors = floors_of(arrows)
    print(f"floors {max(floors.values())}")
    for circle in circles:
        print("circle:", ", ".join(circle))
    for height in range(max(floors.values()), 0, -1):
        print(f"{height:3}  {' '.join(sorted(room for room in floors if floors[room] == height))}")


if __name__ == "__main__":
    main()
