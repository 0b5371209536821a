"""The templates with which a caller signs in are those with a function key, in all but the sign-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.sign_in_forms import PIPELINES, WORKFLOWS, signed_in_texts

TEXTS = signed_in_texts()


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.stem)
def test_a_form_that_signs_in_differs_from_the_one_with_a_key_in_the_sign_in_alone(file: Path) -> None:
    assert file.read_text() == TEXTS[file], "run: python -m tests.integrations.sign_in_forms"


def test_every_template_has_both_forms() -> None:
    files = [*PIPELINES.glob("*.json"), *WORKFLOWS.glob("*.json")]
    assert {file for file in files if "entra" in file.stem} == set(TEXTS)
    assert len(files) == 2 * len(TEXTS)


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.stem)
def test_a_form_that_signs_in_holds_nothing_of_the_key(file: Path) -> None:
    text = file.read_text().lower()
    assert [
        word for word in ("function key", "function_key", "functions-key", "vault", "secreturl") if word in text
    ] == []
