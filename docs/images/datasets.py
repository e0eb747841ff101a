"""Draws docs/images/datasets-resize.png and datasets-crop.png, which show what `resize` and `crop` do.

python docs/images/datasets.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse, Rectangle
from PIL import Image
from sklearn.datasets import load_sample_image

from transgan.data.readers.celeba import landmark_box
from transgan.data.transforms import CropAndResize, crop_box

HERE = Path(__file__).parent
LANDMARKS = [69, 111, 108, 111, 88, 136, 73, 152, 105, 152]  # about the mean of CelebA's aligned images


def draw_resize() -> None:
    """Draw a photograph of 640 x 427 pixels, squashed and cropped to 64 pixels with each filter."""
    photograph = load_sample_image("china.jpg")
    panels = [
        ("the photograph", photograph),
        ("crop: none\n(squashed)", CropAndResize(64, "bilinear", "none")(photograph)),
        ("crop: center", CropAndResize(64, "bilinear", "center")(photograph)),
    ]
    panels += [
        (f"resize: {name}\n(center)", CropAndResize(64, name, "center")(photograph))
        for name in ("lanczos", "bicubic", "box")
    ]
    square = photograph[:, 106:533]
    nearest = np.asarray(Image.fromarray(square).resize((64, 64), Image.Resampling.NEAREST))
    panels.append(("not antialiased\n(never used)", nearest))
    figure, axes = plt.subplots(1, len(panels), figsize=(14, 2.5), width_ratios=[1.5] + [1] * (len(panels) - 1))
    for axis, (title, image) in zip(axes, panels, strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    save(figure, "resize")


def draw_crops() -> None:
    """Draw the frame of CelebA's aligned images, 178 x 218, with the position of a face and the box of each crop."""
    figure, axis = plt.subplots(figsize=(4.6, 4.4))
    axis.add_patch(Rectangle((0, 0), 178, 218, facecolor="#eeeeee", edgecolor="black"))
    axis.add_patch(Ellipse((88, 125), 92, 124, facecolor="#d8c3ae", edgecolor="none"))
    axis.plot(LANDMARKS[0::2], LANDMARKS[1::2], "ko", markersize=4)
    boxes = {crop: crop_box(crop, 178, 218) for crop in ("center", "face148", "face128", "face108")} | {
        "landmarks": landmark_box(LANDMARKS)
    }
    colours = ["#666666", "#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad"]
    for (crop, box), colour in zip(boxes.items(), colours, strict=True):
        if box is not None:
            width, height = box[2] - box[0], box[3] - box[1]
            axis.add_patch(Rectangle(box[:2], width, height, fill=False, edgecolor=colour, linewidth=1.8, label=crop))
    axis.set(xlim=(-4, 300), ylim=(222, -4), aspect="equal")
    axis.legend(loc="center right", fontsize=9, frameon=False)
    axis.axis("off")
    save(figure, "crop")


def save(figure: "plt.Figure", name: str) -> None:
    """Write docs/images/datasets-<name>.png."""
    figure.savefig(HERE / f"datasets-{name}.png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw_resize()
    draw_crops()
