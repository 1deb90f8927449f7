"""Every fake of a port has a contract suite that runs the same tests on it and on the real part."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

TESTS = Path(__file__).parents[1]
PORTS, KIT = TESTS.parent / "actors" / "ports", TESTS / "kit"
SUITES = (TESTS / "contract", TESTS / "acceptance")
"""Those whose real side needs the stack stand with the other tests on it."""

NO_FAKES: Mapping[str, str] = {
    "FakeAttemptLog": "keeps what it is handed; the port answers nothing and never fails",
    "FakePriceMirror": "keeps what it is handed; the port answers nothing and never fails",
    "FakeTickReceiver": "keeps what it is handed; the port answers nothing and never fails",
    "DirectExecution": "calls the real shell of execution in this process",
    "WholeBench": "hands events to the real shells of its strategies",
    "_Strategies": "hands events to the real shells of its strategies",
    "_Records": "tells what the real shells of its strategies know",
    "_ToStrategy": "hands ticks to the real shell of a strategy",
    "_ToRouter": "hands ticks to the real shell of a router",
    "_FromListener": "asks the real shell of the feed",
    "_FromRouter": "asks the real shell of a router",
}
"""Classes that have the methods of a port, and promise nothing of their own."""

Methods = dict[str, tuple[bool, tuple[str, ...]]]
"""Of each public method, whether it is awaited, and its parameters."""


def test_each_fake_has_a_suite_on_it_and_on_the_real_part() -> None:
    found = set(fakes())
    assert len({name for name, _ in found}) > 15
    missing = [f"{name}: {port}" for name, port in sorted(found) if name not in NO_FAKES and not has_suite(name, port)]
    assert missing == [], "write tests/contract/test_{port}.py, or say in NO_FAKES why it promises nothing of its own"


def test_the_excuses_are_of_classes_that_need_one() -> None:
    found = set(fakes())
    names = {name for name, _ in found}
    assert NO_FAKES.keys() <= names
    assert [name for name, port in found if name in NO_FAKES and has_suite(name, port)] == []


def fakes() -> Iterator[tuple[str, str]]:
    """Each class of the kit with the methods of a port, and that port."""
    ports = {name: methods for file in PORTS.glob("*.py") for name, methods in classes(file, protocols=True) if methods}
    assert len(ports) > 12
    for file in sorted(KIT.rglob("*.py")):
        for name, methods in classes(file, protocols=False):
            for port, promised in ports.items():
                if promised.items() <= methods.items():
                    yield name, port


def classes(file: Path, *, protocols: bool) -> Iterator[tuple[str, Methods]]:
    """The classes of a file that are protocols, or those that are none."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        if protocols is any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
            functions = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            public = [one for one in functions if not one.name.startswith("_")]
            yield node.name, {one.name: (is_awaited(one), parameters(one)) for one in public}


def is_awaited(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it gives something to await."""
    returned = ast.unparse(function.returns) if function.returns is not None else ""
    return isinstance(function, ast.AsyncFunctionDef) or re.search(r"\b(Awaitable|Coroutine)\[", returned) is not None


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    """Names without the underscore of those that are not used."""
    given = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return tuple(argument.arg.lstrip("_") for argument in given[1:])


def has_suite(fake: str, port: str) -> bool:
    """Whether the suite of the port runs its tests on the fake and on something else."""
    name = f"test_{re.sub(r'(?<!^)(?=[A-Z])', '_', port).lower()}.py"
    text = "".join((folder / name).read_text(encoding="utf-8") for folder in SUITES if (folder / name).exists())
    return re.search(rf"\b{fake}\(", text) is not None and re.search(r"params=\[|ids=\[", text) is not None
