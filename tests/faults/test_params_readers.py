"""One params.yaml and three readers: the command line, Snakemake (JSON schema) and DVC give the same answer."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT, TINY
from tests.faults.conftest import Transgan, assert_one_line
from tests.workflow.test_agreement import with_leaf
from transgan.config import params_file, plan
from transgan.errors import UserError

SCHEMA = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text())
OF_ANOTHER_KIND = ["no", "yes", "1", "1.5", "1e-4", True, False, 0, 1, 2.0, 2.5, None, [], {}, "", "x"]


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value that is no collection."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*at, key))
    else:
        yield at


def refusal(content: Any) -> str | None:
    """The command line's answer to a params file; None if it takes it."""
    try:
        params_file.parse(content, Path("params.yaml"))
    except UserError as error:
        return str(error)
    return None


def test_what_snakemakes_schema_refuses_the_command_line_refuses_too() -> None:
    content = params_file.load_yaml(TINY.read_text())
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert validator.is_valid(content)
    assert refusal(content) is None
    refused = 0
    for at in leaves(content):
        if at[0] == "scales" and len(at) > 3 and at[2] != "runs":
            continue  # free values for the schema, checked where they are merged
        for value in OF_ANOTHER_KIND:
            mutated = with_leaf(content, at, value)
            if not validator.is_valid(mutated):
                refused += 1
                message = refusal(mutated)
                assert message is not None, (at, value)
                assert "\n" not in message
    assert refused > 500


@pytest.mark.parametrize(
    ("key", "written", "message"),
    [
        ("images", '"512"', "recipes.short.images: '512' is text; write 512"),
        ("images", "2e6", "recipes.short.images: '2e6' is text; write 2.0e+6"),
        ("images", "0o1000", "recipes.short.images: '0o1000' is text; write 512"),
        ("images", "'1,000'", "recipes.short.images: '1,000' is text; write 1000"),
        ("lr", "1e-4", "recipes.short.generator.lr: '1e-4' is text; write 1.0e-4"),
        ("lr", "1E5", "recipes.short.generator.lr: '1E5' is text; write 1.0e+5"),
        ("flip", '"no"', "recipes.short.flip: 'no' is text; write false"),
        ("flip", "1", "recipes.short.flip: 1 is a number; write true"),
        ("images", "true", "recipes.short.images: True is a truth value; write 1"),
        ("normalize_latent", '"no"', "recipes.short.normalize_latent: 'no' is text; write false"),
    ],
)
@pytest.mark.parametrize("in_scale", [False, True])
def test_a_value_of_another_kind_is_refused_with_how_to_write_it(
    project: Path, key: str, written: str, message: str, in_scale: bool
) -> None:
    """In the entry, and in what a scale changes of it, which Snakemake's schema does not look at."""
    value = yaml.safe_load(written)
    content = yaml.safe_load(TINY.read_text())
    change = {"generator": {"lr": value}} if key == "lr" else {key: value}
    if in_scale:
        content["scales"]["tiny"]["recipes"]["short"] = change
        message = message.replace("recipes.short.", "scales.tiny.recipes.short: ")
    else:
        content["recipes"]["short"] |= change
    Path("params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as caught:
        plan.load()
    assert str(caught.value) == f"params.yaml: {message}"


def test_a_whole_number_may_have_an_exponent(project: Path) -> None:
    text = TINY.read_text()
    Path("params.yaml").write_text(text.replace("images: 512", "images: 5.12e+2"))
    assert plan.load().run("one-cifar10").recipe.images == 512


@pytest.mark.parametrize(
    "name", ["batch", "generator_batch", "width", "depth", "samples", "resolution", "latent", "threads"]
)
def test_a_number_with_zeros_too_many_is_one_line(project: Path, name: str) -> None:
    text, count = re.subn(rf"\b{name}: \d+", f"{name}: 1000000000000", TINY.read_text(), count=1)
    assert count == 1
    Path("params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"less than or equal to \d+ \(is 1000000000000\)"):
        plan.load()


DEEP = 100_000
AWKWARD = {
    "2,000 levels": ("data: " + "[" * 2000 + "]" * 2000 + "\n", "nested more than 50 levels deep"),
    "100,000 levels": ("data: " + "[" * DEEP + "]" * DEEP + "\n", "nested more than 50 levels deep"),
    "100,000 mappings": ("data: " + "{a: " * DEEP + "1" + "}" * DEEP + "\n", "nested more than 50 levels deep"),
    "levels by aliases": (
        "".join(f"x{i}: &x{i} {{a: {f'*x{i - 1}' if i else 1}}}\n" for i in range(2000)),
        "nested more than 50 levels deep",
    ),
    "itself": ("data: &a [*a]\n", "nested more than 50 levels deep"),
    "5,000 digits": ("data: {mirror: " + "9" * 5000 + "}\n", "not readable as YAML"),
    "5,000 hexadecimal digits": ("scale: 0x" + "f" * 5000 + "\n", "the integer is too large"),
    "400 digits": ("execution: {keep_checkpoints: " + "9" * 400 + "}\n", "the integer is too large"),
    "an impossible date": ("scale: 2024-13-45\n", "not readable as YAML"),
    "a date": ("scale: 2024-01-02\n", "is read as a date; put it in quotes"),
    "bytes": ("scale: !!binary aGk=\n", "is read as a bytes; put it in quotes"),
    "a name that is a number": ("runs: {12: {}}\n", 'the key 12 is not read as text; put it in quotes: "12"'),
    "a name that is a truth value": (
        "runs: {no: {}}\n",
        'the key false is not read as text; put it in quotes: "false"',
    ),
    "half a character": ('scale: "\\ud800"\n', "not readable as YAML"),
    "a null character": ('scale: "a\\0b"\n', "contains the character \\0"),
    "a tab": ("scale:\n\t- a\n", "not readable as YAML"),
    "Latin-1": ("scale: caf\xe9\n".encode("latin-1"), "not readable as YAML"),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_files_are_one_line(project: Path, name: str) -> None:
    content, message = AWKWARD[name]
    Path("params.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        plan.load()
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["100,000 levels", "a name that is a number"])
def test_awkward_files_end_the_command_line_with_2(project: Path, transgan: Transgan, name: str) -> None:
    content, message = AWKWARD[name]
    Path("params.yaml").write_text(str(content))
    assert_one_line(transgan("plan"), message)


@pytest.mark.parametrize("path", ["x" * 5000, "/".join(["y" * 200] * 30)])
def test_a_very_long_path_is_one_line(project: Path, transgan: Transgan, path: str) -> None:
    content = yaml.safe_load(TINY.read_text())
    content["datasets"]["digits"] |= {"source": "folder", "path": path}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert_one_line(transgan("fetch", "digits"), "File name too long")


def test_a_mirror_that_is_no_address_is_one_line(project: Path, transgan: Transgan) -> None:
    content = yaml.safe_load(TINY.read_text())
    content["data"]["mirror"] = "http://[::1/archives"
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert_one_line(transgan("fetch", "cifar10"), "data.mirror", "http://[::1/archives")
