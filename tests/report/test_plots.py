"""What figures compute: paths between latents, nearest images, attention maps, relative position tables."""

import math

import numpy as np
import pytest
import torch

from transgan.data.pack import content_digest
from transgan.models import build_generator
from transgan.models.attention_maps import attention_layers
from transgan.models.serialization import save_generator
from transgan.report.plots import attention, interpolation, neighbours, positions, style
from transgan.schema import FigureConfig, TransformerGenerator
from transgan.utils import files

RUN = "transgan-celeba128"


@pytest.fixture
def generator(project):
    """A plan and an untrained generator of the demo's grid-attention run, saved where training would have put it."""
    plan = project("demo")
    config = plan.run(RUN).model.generator
    assert isinstance(config, TransformerGenerator)
    torch.manual_seed(0)
    module = build_generator(config)
    plan.paths.run(RUN).mkdir(parents=True)
    save_generator(plan.paths.run(RUN) / "generator.safetensors", module, config, {"images": 1})
    return plan, module


def test_linear_and_spherical_paths_meet_at_the_ends_and_differ_in_the_middle():
    first, last = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    straight, arc = interpolation.linear(first, last, 3)[0], interpolation.spherical(first, last, 3)[0]
    for path in (straight, arc):
        torch.testing.assert_close(path[0], first[0])
        torch.testing.assert_close(path[2], last[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(straight[1], torch.tensor([1.5, 1.5]))
    torch.testing.assert_close(arc[1], torch.tensor([3 / math.sqrt(2), 3 / math.sqrt(2)]))


def test_spherical_steps_are_equal_angles():
    ends = torch.randn(2, 1, 16, generator=torch.Generator().manual_seed(0))
    path = interpolation.spherical(ends[0], ends[1], 5)[0]
    unit = path / path.norm(dim=1, keepdim=True)
    angles = (unit[1:] * unit[:-1]).sum(1).arccos()
    torch.testing.assert_close(angles, angles[:1].expand(4), atol=1e-4, rtol=0)


def test_neighbours_stand_right_of_their_sample(project):
    plan = project("demo")
    run = plan.run(RUN)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (50, 8, 8, 3), np.uint8)
    folder, results = plan.paths.data(run.dataset_name), plan.paths.run(RUN)
    folder.mkdir(parents=True)
    results.mkdir(parents=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", np.zeros(50, np.int64))
    splits = {"train": [10, 50], "test": [0, 10]}
    sha256 = content_digest({name: files.sha256(folder / name) for name in ("images.npy", "labels.npy")})
    files.write_json(
        folder / "manifest.json", {"resolution": 8, "count": 50, "sha256": sha256, "splits": splits, "classes": []}
    )
    samples = images[[0, 20]]  # the first is no training image, the second is a copy of one
    np.savez(results / "dynamics.npz", pictures=samples[None], images=np.array([100]))
    figure = neighbours.draw(plan, FigureConfig(kind="neighbours", title="A title", source="Ours", runs=(RUN,)))
    shown = np.asarray(figure.axes[0].images[0].get_array())
    rows = [[shown[9 * i : 9 * i + 8, 9 * j : 9 * j + 8] for j in range(7)] for i in range(2)]
    apart = ((images[0].astype(float) - images[10:]) ** 2).sum((1, 2, 3))
    np.testing.assert_array_equal(rows[0], images[[0, *(10 + np.argsort(apart)[:6])]])
    np.testing.assert_array_equal(rows[1][0], rows[1][1])


def test_attention_maps_sum_to_one_and_stay_in_their_tile(generator):
    plan, _ = generator
    maps = attention.maps(plan, RUN)
    assert {name: stage.shape[1:] for name, stage in maps.stages.items()} == {
        "stage 1": (2, 2),
        "stage 2": (4, 4),
        "stage 3": (8, 8),
    }
    for stage in maps.stages.values():
        np.testing.assert_allclose(stage.sum((1, 2)), 1, atol=1e-5)
    # The last stage attends in 4 x 4 tiles; the second pixel lies at a quarter of the side, in the first tile.
    last = maps.stages["stage 3"][1]
    assert last[:4, :4].sum() == pytest.approx(1, abs=1e-5)
    assert last[4:].sum() == last[:, 4:].sum() == 0


def test_position_tables_are_laid_out_by_offset(generator):
    plan, module = generator
    layer = next(layer for name, layer in attention_layers(module) if name.startswith("stages.1."))
    with torch.no_grad():
        layer.relative_table.zero_()
        bias_of = (1 + 3) * 7 + (-2 + 3)  # query one row below and two columns left of the key, tiles of 4 x 4
        layer.relative_table[bias_of, 0] = 1.0
    save_generator(plan.paths.run(RUN) / "generator.safetensors", module, plan.run(RUN).model.generator, {"images": 1})
    table = positions.tables(plan, RUN)["stage 2"]
    assert table.shape[:2] == (7, 7)
    assert np.argwhere(table[:, :, 0] == 1.0).tolist() == [[4, 1]]
    figure = positions.draw(plan, FigureConfig(kind="positions", title="A title", source="Ours", runs=(RUN,)))
    axes = figure.axes[module.stages[0].blocks[0].attention.heads]  # the first head of stage 2
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["\N{MINUS SIGN}3", "0", "3"]
    assert axes.get_xticks().tolist() == [0.5, 3.5, 6.5]


@pytest.mark.parametrize("kind", ["attention", "positions", "interpolation"])
def test_figures_of_a_generator_are_drawn(generator, kind):
    plan, _ = generator
    draw = __import__(f"transgan.report.plots.{kind}", fromlist=["draw"]).draw
    with style.theme():
        drawn = draw(plan, FigureConfig(kind=kind, title="A title", source="Ours", runs=(RUN,)))
        style.save(drawn, plan.paths.figure(kind))
    assert plan.paths.figure(kind).with_suffix(".png").stat().st_size > 5000
