"""Whether the chaos suite would notice: takes the mechanisms of the order protocol away one by one, and expects red.

python -m tests.chaos.mutation_run [--only TEXT]...

Works in a copy of the tree. The unchanged copy must be green first; a case that could not be run proves nothing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.guards_mutations import GUARDS_MUTATIONS
from tests.chaos.mutations import MUTATIONS, SURGE, Edit, Mutation
from tests.chaos.outside_catalogue import possible_outside
from tests.chaos.outside_mutations import OUTSIDE_MUTATIONS
from tests.kit.paper import REPOSITORY

COPIED = ("actors", "api", "broker", "config", "persistence", "tests", "pyproject.toml")
PATIENCE_S = 900.0

Verdicts = dict[str, dict[str, Any]]
"""By case: `problems`, sentences; `untried`, why it proves nothing, or an empty text."""


class TextNotFound(Exception):
    """A mutation does not fit the code any more: its text occurs there never, or more than once."""


def copy_of_the_code(tree: Path) -> None:
    """Put all that the cases need into this directory. Links stay links: the corpus holds some that lead nowhere."""
    unneeded = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in COPIED:
        source, target = REPOSITORY / name, tree / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=unneeded)
        else:
            shutil.copy2(source, target)


def mutated(text: str, edit: Edit) -> str:
    """The file's text with the edit made. Raises TextNotFound."""
    if (found := text.count(edit.old)) != 1:
        raise TextNotFound(f"{edit.path}: {edit.old.strip()!r} occurs {found} times")
    return text.replace(edit.old, edit.new)


@contextmanager
def without(tree: Path, mutation: Mutation) -> Iterator[None]:
    """The tree without a mechanism while the block runs."""
    originals = {edit.path: (tree / edit.path).read_text(encoding="utf-8") for edit in mutation.edits}
    try:
        for edit in mutation.edits:
            path = tree / edit.path
            path.write_text(mutated(path.read_text(encoding="utf-8"), edit), encoding="utf-8")
        yield
    finally:
        for name, text in originals.items():
            (tree / name).write_text(text, encoding="utf-8")


def verdicts_of(tree: Path, names: Sequence[str]) -> Verdicts:
    """Run some cases in processes of the tree: those of the second table, and the others. A process can join one Ray.

    Raises:
        subprocess.CalledProcessError: a stack did not start, or something broke that no case accounts for.
        subprocess.TimeoutExpired: likewise.
    """
    outside = [name for name in names if name in {case.name for case in possible_outside()}]
    others = [name for name in names if name not in outside]
    return {name: verdict for part in (outside, others) if part for name, verdict in _verdicts(tree, part).items()}


def _verdicts(tree: Path, names: Sequence[str]) -> Verdicts:
    # without bytecode: two versions of a file within one second would pass for the same
    surroundings = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    answer = tree / "verdicts.json"
    answer.unlink(missing_ok=True)
    argv = [
        sys.executable,
        "-m",
        "tests.chaos.mutation_run",
        "--answer",
        str(answer),
        *(f"--case={name}" for name in names),
    ]
    subprocess.run(argv, cwd=tree, env=surroundings, check=True, timeout=PATIENCE_S)
    verdicts: Verdicts = json.loads(answer.read_text(encoding="utf-8"))
    return verdicts


def _run_here(names: Sequence[str], answer: Path) -> None:
    """What the process of the tree does."""
    from tests.chaos import run
    from tests.chaos.case_run import FALLING
    from tests.chaos.catalogue import cases
    from tests.chaos.guards_catalogue import possible_guards
    from tests.chaos.guards_run import GuardsFlow
    from tests.chaos.outside_run import run_everywhere
    from tests.chaos.special import SPECIAL
    from tests.kit.session import running_session

    by_name = {case.name: case for case in cases()}
    guards = {case.name: case for case in possible_guards()}
    outside = {case.name: case for case in possible_outside()}
    verdicts: Verdicts = {}
    known = [outside[name] for name in names if name in outside]
    for seen in run_everywhere(known, when_up=lambda: _check_that_ray_runs(REPOSITORY)):
        verdicts[seen.case.name] = {"problems": seen.problems, "untried": seen.untried}
    if known:
        answer.write_text(json.dumps(verdicts), encoding="utf-8")
        return
    with running_session(api_rate_per_minute=0, api_requests_at_once=0, auth_rate_per_minute=0) as (_, deployment):
        _check_that_ray_runs(REPOSITORY)
        run.warm_up(deployment)
        for result in run.run_all(deployment, [by_name[name] for name in names if name in by_name]):
            verdicts[result.case.name] = {"problems": result.problems, "untried": result.untried}
        for guarded in GuardsFlow(deployment).run_all([guards[name] for name in names if name in guards]):
            verdicts[guarded.case.name] = {"problems": guarded.problems, "untried": guarded.untried}
        for name in names:
            if name in SPECIAL:
                deployment.exchange.clear_faults()
                special, directory = SPECIAL[name], deployment.settings.failpoints or Path()
                result = run.result_of(special(special.CASE, deployment, directory, FALLING[0]))
                verdicts[name] = {"problems": result.problems, "untried": result.untried}
            elif name == SURGE:
                verdicts[name] = _surge(deployment)
    answer.write_text(json.dumps(verdicts), encoding="utf-8")


def _surge(deployment: Any) -> dict[str, Any]:
    from tests.chaos.surge import NotCrowded, Surge

    untried = ""
    for _ in range(2):  # once more if it was not as it was meant to be
        surge, problems = Surge(deployment), []
        deployment.exchange.clear_faults()
        try:
            surge.run()
        except NotCrowded as error:
            untried = str(error)
            continue
        except AssertionError as error:
            problems.append(f"stuck: {error}")
        try:
            return {"problems": problems + surge.verdict(), "untried": ""}
        except NotCrowded as error:
            untried = str(error)
    return {"problems": [], "untried": untried}


def _check_that_ray_runs(tree: Path) -> None:
    """Actors must be of the mutated tree, not of the one that is installed."""
    import ray

    def where() -> str:
        import actors.execution.orders.placer

        return str(actors.execution.orders.placer.__file__)

    found = str(ray.get(ray.remote(num_cpus=0)(where).remote()))
    if not Path(found).is_relative_to(tree):
        raise RuntimeError(f"Ray runs {found}, which is not in {tree}")


def said(mutation: Mutation, verdicts: Verdicts) -> list[str]:
    """The sentences that tell of the missing mechanism."""
    problems = [problem for verdict in verdicts.values() for problem in verdict["problems"]]
    return [problem for problem in problems if problem.startswith(mutation.expected)]


def all_noticed(tree: Path, chosen: Sequence[Mutation], console: Console) -> bool:
    """Whether the unchanged tree is green and every mutation is noticed."""
    names = sorted({name for mutation in chosen for name in mutation.cases})
    console.print(f"unchanged: {', '.join(names)}", highlight=False)
    untouched = verdicts_of(tree, names)
    red = {name: verdict for name, verdict in untouched.items() if verdict["problems"] or verdict["untried"]}
    for name, verdict in red.items():
        console.print(f"{name}: {verdict}", style="red", highlight=False, markup=False)
    if red:
        return False
    table, missed = Table("mechanism taken away", "caught by", "which said"), 0
    for mutation in chosen:
        console.print(f"without {mutation.mechanism}", highlight=False)
        with without(tree, mutation):
            verdicts = verdicts_of(tree, mutation.cases)
        sentences = said(mutation, verdicts)
        console.print(f"  {sentences[0] if sentences else f'NOT CAUGHT: {verdicts}'}", highlight=False, markup=False)
        missed += not sentences
        caught = [name for name, verdict in verdicts.items() if any(s in verdict["problems"] for s in sentences)]
        table.add_row(mutation.mechanism, ", ".join(caught), sentences[0] if sentences else f"NOT CAUGHT: {verdicts}")
    console.print(table, markup=False)
    return not missed


def main() -> int:
    """Exit code 1 if the unchanged tree is not green or a mutation was not noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="only mechanisms whose name contains this, or another of these")
    parser.add_argument("--case", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer is not None:
        _run_here(options.case, options.answer)
        return 0
    everything = (*MUTATIONS, *OUTSIDE_MUTATIONS, *GUARDS_MUTATIONS)
    chosen = [mutation for mutation in everything if any(text in mutation.mechanism for text in options.only or [""])]
    with tempfile.TemporaryDirectory(prefix="ta-mutations-") as directory:
        tree = Path(directory)
        copy_of_the_code(tree)
        return int(not all_noticed(tree, chosen, Console(width=160)))


if __name__ == "__main__":
    sys.exit(main())
