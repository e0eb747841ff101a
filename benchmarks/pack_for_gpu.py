"""Builds the folder that travels to a machine with a GPU and no network, for `benchmarks/gpu_session.py --packed`.

    python benchmarks/pack_for_gpu.py --images IMAGES.tar --inception WEIGHTS.pth [--out build/gpu]

IMAGES.tar holds training images of 32 x 32 pixels as train/<class>/<name>.jpg; all else in it is left out. WEIGHTS.pth
are Inception's weights for torch-fidelity, at least up to the layer of 768 features. The packages that such a machine
lacks are downloaded from pip's package index, or from the folder --wheels. All of it and the working tree travel, so
the size of both together is limited.
"""

import argparse
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MIB = 64.0
# What the product needs beyond the packages that a machine with PyTorch has: pydantic with its own needs, and two more.
PACKAGES = (
    *("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions"),
    *("torch-fidelity", "lmdb"),
)
PYTHON = "3.12"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# Tracked files that a session does not need.
LEFT_OUT = ("tests/models/fixtures", "docs/images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="tar of training images")
    parser.add_argument("--inception", type=Path, required=True, help="Inception's weights")
    parser.add_argument("--wheels", type=Path, help="take wheels from this folder and download none")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu")
    parser.add_argument("--limit", type=float, default=LIMIT_MIB, help="MiB of everything (default: 64)")
    arguments = parser.parse_args()
    for path in (arguments.images, arguments.inception):
        if not path.is_file():
            sys.exit(f"{path}: no such file")
    sys.exit(pack(arguments))


def pack(arguments: argparse.Namespace) -> str | None:
    """Build the folder and print its size; return a line that says what is wrong, or None."""
    out: Path = arguments.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    count = pack_images(arguments.images, out / "images.tar.xz")
    if not count:
        return f"{arguments.images}: has no images named train/<class>/<name>.jpg"
    with arguments.inception.open("rb") as source, lzma.open(out / "inception-768.pth.xz", "wb", preset=9) as target:
        shutil.copyfileobj(source, target)
    collect_wheels(out, arguments.wheels)
    (out / "packed.json").write_text(json.dumps({"images": count, **commit()}) + "\n")
    packed = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    tree = sum(path.stat().st_size for path in travelling_files(ROOT))
    sizes = {**packed, "working tree": tree, "together": sum(packed.values()) + tree}
    for name, size in sizes.items():
        print(f"{size / 2**20:7.2f} MiB  {name}")
    if sizes["together"] > arguments.limit * 2**20:
        return (
            f"{sizes['together'] / 2**20:.1f} MiB exceed {arguments.limit:g} MiB; take {' and '.join(LEFT_OUT)} out of "
            "the working tree meanwhile (docs/performance.md)"
        )
    return None


def pack_images(source: Path, target: Path) -> int:
    """Write the training images of a tar to a compressed tar; return how many there are.

    One stream for all: the headers of small JPEG files are alike. Dates and owners would cost space.
    """
    count = 0
    try:
        with tarfile.open(source) as tar, tarfile.open(target, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as packed:
            members = [
                member for member in tar if member.isfile() and member.name.removeprefix("./").startswith("train/")
            ]
            for member in sorted(members, key=lambda member: member.name):
                entry = tarfile.TarInfo(member.name.removeprefix("./"))
                entry.size = member.size
                packed.addfile(entry, tar.extractfile(member))
                count += 1
    except tarfile.TarError as error:
        sys.exit(f"{source}: not a tar of images ({error})")
    return count


def collect_wheels(out: Path, folder: Path | None) -> None:
    """Copy wheels from a folder, or download one of each package; name those that cannot be obtained."""
    if folder is not None:
        for wheel in folder.glob("*.whl"):
            shutil.copy(wheel, out)
        return
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    # The locked versions: pydantic accepts one version of pydantic-core only.
    options = [
        "--no-deps",
        "--constraint",
        str(ROOT / "constraints.txt"),
        "--only-binary=:all:",
        "--python-version",
        PYTHON,
        "--implementation",
        "cp",
        *platforms,
    ]
    for package in PACKAGES:
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(out), package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr[-200:])
            print(f"warning: no wheel of {package} for Python {PYTHON} ({reason})", file=sys.stderr)


def commit() -> dict[str, str | bool | None]:
    """The commit of the working tree and whether it has changes: a copy of the tree no longer shows them."""
    head = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": head.strip() if head else None, "dirty": None if changes is None else bool(changes.strip())}


def travelling_files(root: Path) -> Iterator[Path]:
    """The files of the working tree that travel: tracked ones that are there, and others that git does not ignore."""
    for name in (_git("ls-files", "-z", "--cached", "--others", "--exclude-standard") or "").split("\0"):
        if name and (path := root / name).is_file():
            yield path


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    main()
