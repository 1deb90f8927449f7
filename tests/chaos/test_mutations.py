"""Every mutation of `make mutations` fits the code as it is, and names cases that exist."""

from pathlib import Path

import pytest

from tests.chaos.catalogue import cases
from tests.chaos.guards_catalogue import possible_guards
from tests.chaos.guards_mutations import GUARDS_MUTATIONS
from tests.chaos.mutation_run import TextNotFound, copy_of_the_code, mutated
from tests.chaos.mutations import MUTATIONS, SURGE, Edit, Mutation
from tests.chaos.outside_catalogue import possible_outside
from tests.chaos.outside_mutations import OUTSIDE_MUTATIONS
from tests.chaos.special import SPECIAL
from tests.kit.paper import REPOSITORY

EVERYTHING = (*MUTATIONS, *OUTSIDE_MUTATIONS, *GUARDS_MUTATIONS)


@pytest.mark.parametrize("mutation", EVERYTHING, ids=lambda mutation: mutation.mechanism)
def test_a_mutation_changes_the_code_and_leaves_it_readable(mutation: Mutation) -> None:
    texts: dict[str, str] = {}
    for edit in mutation.edits:
        before = texts.get(edit.path) or (REPOSITORY / edit.path).read_text(encoding="utf-8")
        texts[edit.path] = mutated(before, edit)
        assert texts[edit.path] != before
    for path, text in texts.items():
        compile(text, path, "exec")


def test_the_code_can_be_copied_with_all_that_the_corpus_holds(tmp_path: Path) -> None:
    copy_of_the_code(tmp_path)
    assert (tmp_path / "tests/corpus/data_directories/dangling-link/postgres").is_symlink()
    assert (tmp_path / "actors/execution/orders/placer.py").is_file()


def test_a_mutation_that_fits_twice_is_refused() -> None:
    with pytest.raises(TextNotFound):
        mutated("a = 1\na = 1\n", Edit("x.py", "a = 1", "a = 2"))


def test_the_cases_that_must_notice_exist() -> None:
    tables = (cases(), possible_outside(), possible_guards())
    known = {case.name for table in tables for case in table} | SPECIAL.keys() | {SURGE}
    assert {name for mutation in EVERYTHING for name in mutation.cases} <= known
