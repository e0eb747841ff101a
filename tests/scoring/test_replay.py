"""`transgan replay --run` on digits: a kept generator is scored again in a fresh folder, by the commands it prints."""

import json
from pathlib import Path

import pytest

from tests.scoring.conftest import save_untrained
from tests.test_cli import call
from transgan.config import plan
from transgan.pipeline.stages import stage
from transgan.scoring import score

RUN = "three-cifar10"


@pytest.mark.slow
def test_a_kept_generator_is_scored_again_to_the_same_number(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from transgan.report import tables

    current = plan.load()
    save_untrained(current, RUN)
    for path in stage(current, "train", RUN).outputs:
        if path.name == "provenance.json":
            path.write_text(json.dumps({"started": "a", "finished": "b"}))
        elif not path.exists():
            path.touch()
    score.score(current, RUN)
    tables.make(current, "small")
    # This process uses all instructions of the processor, the chain those that all have: the last digits may differ.
    arguments = ("replay", "small", "No augmentation", "Digits", "--run", "--into", "fresh", "--tolerance", "0.01")
    code, out, _ = call(monkeypatch, capfd, *arguments)
    assert code == 0
    assert "the commit of the runs is not in this folder's repository" in out
    assert not [line for line in out.splitlines() if " train " in line or " prepare " in line]
    again = Path("fresh") / current.paths.score(RUN)
    assert again.is_file()
    assert not again.samefile(current.paths.score(RUN))  # it was computed, and not copied
