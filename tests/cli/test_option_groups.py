"""Commands take groups of options: what typer reads of them, and what the command gets."""

from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from thetanet.cli import program


@dataclass(frozen=True)
class Base:
    name: str = typer.Option("nobody", help="A name")
    size: int = typer.Option(1, min=0, help="A size")


@dataclass(frozen=True)
class Derived(Base):
    files: list[Path] | None = typer.Option(None, help="Files")
    shape: tuple[int, int] | None = typer.Option(None, help="A shape")


@dataclass(frozen=True)
class Place:
    place: Path = typer.Argument(help="A place")
    deep: bool | None = typer.Option(None, "--deep/--flat", help="Or not")


@pytest.fixture
def call(monkeypatch):
    """Return what runs a command of two groups, and what it was called with."""
    calls = []
    monkeypatch.setattr(program, "app", typer.Typer())

    @program.command
    def show(group: Derived, place: Place, quiet: bool = typer.Option(False, "--quiet")) -> None:
        """Show what was given."""
        calls.append((group, place, quiet))

    def run(*arguments):
        calls.clear()
        return CliRunner().invoke(program.app, list(arguments)), calls

    return run


def test_a_command_gets_its_groups(call):
    done, calls = call("here", "--size", "3", "--files", "a", "--files", "b", "--shape", "2", "4", "--flat")
    assert done.exit_code == 0, done.output
    group = Derived("nobody", 3, [Path("a"), Path("b")], (2, 4))
    assert calls == [(group, Place(Path("here"), False), False)]
    done, calls = call("here", "--quiet")
    assert calls == [(Derived("nobody", 1, None, None), Place(Path("here"), None), True)]


@pytest.mark.parametrize("arguments", [[], ["here", "--size", "-1"], ["here", "--group", "x"]])
def test_wrong_usage_of_an_option_in_a_group_is_refused(call, arguments):
    done, calls = call(*arguments)
    assert done.exit_code == 2
    assert calls == []


def test_help_shows_the_options_of_all_groups(call):
    done, _ = call("--help")
    for words in ("Show what was given.", "--name", "--size", "--files", "--shape", "--deep", "--quiet"):
        assert words in done.output


def test_options_of_a_derived_group_come_first():
    names = [parameter.name for parameter in program._list_options(Derived)]
    assert names == ["files", "shape", "name", "size"]


def test_every_option_has_a_help_text():
    commands = {info.name: info.callback for info in program.app.registered_commands}
    assert set(commands) == {
        "check", "convert", "evaluate", "inspect", "merge", "predict", "read", "report", "serve", "train",
    }  # fmt: skip
    for name, command in commands.items():
        for parameter in signature(command).parameters.values():
            assert parameter.default.help, f"{name}: {parameter.name}"
