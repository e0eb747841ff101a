"""The catalog of published datasets: their files, URLs, sizes, digests and terms.

URLs come from the publishers. Sizes and digests are those that torchvision (MD5 of CelebA), Keras (SHA-256 of
CIFAR-10) and TensorFlow Datasets (SHA-256 of STL-10 and LSUN, all sizes) publish. A file that may arrive over plain
http has a SHA-256. Image counts are in params.yaml. The catalog changes no result, so it is not part of params.yaml.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transgan.errors import UserError

ARCHIVES = Path("data/archives")
INCOMING = Path("data/incoming")

DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source.

    `urls` are tried in order. `digest` is `sha256:...` or `md5:...`; where it is None, the digest of the first
    download is recorded and expected from then on. `size` in bytes is exact where `digest` is known, otherwise
    approximate. `alternative_names` are further names under which a user may place the same content in data/incoming/.
    `only_for_crop`: a dataset needs the file only if its `crop` has this value; None: every dataset needs it.
    """

    name: str
    urls: tuple[str, ...]
    digest: str | None
    size: int
    alternative_names: tuple[str, ...] = ()
    only_for_crop: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the file may have on this machine."""
        return (self.name, *self.alternative_names)


@dataclass(frozen=True)
class Source:
    """A published dataset."""

    title: str
    homepage: str
    licence: str
    files: tuple[RemoteFile, ...]
    requires_agreement: bool = False  # a user must accept terms before downloading

    def files_for(self, crop: str) -> tuple[RemoteFile, ...]:
        """The files that a dataset with this `crop` needs."""
        return tuple(file for file in self.files if file.only_for_crop in (None, crop))


CATALOG: dict[str, Source] = {
    "cifar10": Source(
        title="CIFAR-10",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="no licence stated; free to download, cite Krizhevsky 2009",
        files=(
            RemoteFile(
                "cifar-10-python.tar.gz",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "http://www.cs.utoronto.ca/~kriz/cifar-10-python.tar.gz",
                ),
                "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                170_498_071,
            ),
        ),
    ),
    "stl10": Source(
        title="STL-10",
        homepage="https://cs.stanford.edu/~acoates/stl10/",
        licence="no licence stated (images from ImageNet, whose terms are non-commercial research);"
        " cite Coates, Lee and Ng 2011",
        files=(
            RemoteFile(
                "stl10_binary.tar.gz",
                (
                    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
                    "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
                ),
                "sha256:f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
                2_640_397_119,
            ),
        ),
    ),
    "celeba": Source(
        title="CelebA, aligned and cropped",
        homepage="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        licence="non-commercial research only, no redistribution; cite Liu et al. 2015",
        files=(
            RemoteFile(
                "img_align_celeba.zip",
                (f"{DRIVE}0B7EVK8r0v71pZjFTYXZWM3FlRnM",),
                "md5:00d2c5bc6d35e252742224ab0c1e8fcb",
                1_443_490_838,
            ),
            RemoteFile(
                "list_eval_partition.txt",
                (f"{DRIVE}0B7EVK8r0v71pY0NSMzRuSXJEVkk",),
                "md5:d32c9cbf5e040fd4025c592c306e6668",
                2_836_386,
            ),
            RemoteFile(
                "list_landmarks_align_celeba.txt",
                (f"{DRIVE}0B7EVK8r0v71pd0FJY3Blby1HUTQ",),
                "md5:cc24ecafdb5b50baae59b03474781f8c",
                12_156_055,
                only_for_crop="landmarks",
            ),
        ),
    ),
    "celebahq": Source(
        title="CelebA-HQ",
        # CelebAMask-HQ contains the images. Progressive GAN's repository has only differences to CelebA, and a tool.
        homepage="https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebAMask_HQ.html",
        licence="CelebA's terms, and CC BY-NC 4.0 (Progressive GAN): non-commercial research only;"
        " cite Karras et al. 2018 and, for CelebAMask-HQ, Lee et al. 2020",
        files=(
            RemoteFile(
                "celebahq.zip",
                (),
                None,
                2_800_000_000,
                ("celebahq", "celebahq.tar", "celebahq.tar.gz", "CelebAMask-HQ.zip", "CelebAMask-HQ"),
            ),
        ),
        requires_agreement=True,
    ),
    "lsun": Source(
        title="LSUN, outdoor churches (training set)",
        homepage="https://github.com/fyu/lsun",
        licence="no licence stated (images found by web search), for research; cite Yu et al. 2015",
        files=(
            RemoteFile(
                "church_outdoor_train_lmdb.zip",
                # The host's https certificate is invalid; the digest makes plain http safe.
                ("http://dl.yf.io/lsun/scenes/church_outdoor_train_lmdb.zip",),
                "sha256:91128ae026840ac0c5982b4445ab5fc4e092d6847cca76793b2b1a0815c2e74a",
                2_448_463_466,
                ("church_outdoor_train_lmdb",),
            ),
        ),
    ),
}


def candidate_paths(source: str, file: RemoteFile) -> Sequence[Path]:
    """Return where a file of a source may lie: the download first, then what a user placed."""
    return (ARCHIVES / source / file.name, *(INCOMING / name for name in file.names))


def require_files(source: str, crop: str) -> dict[str, Path]:
    """Return `locate` of a source. Raises UserError when a file is missing that a dataset with this `crop` needs."""
    paths = locate(source)
    for file in CATALOG[source].files_for(crop):
        if file.name not in paths:
            raise UserError(
                f"{ARCHIVES / source / file.name}: not there any more; run `transgan fetch` for this dataset again"
            )
    return paths


def locate(source: str) -> dict[str, Path]:
    """Return {file name: path} of the files of a source that exist."""
    paths: dict[str, Path] = {}
    for file in CATALOG[source].files:
        existing = [path for path in candidate_paths(source, file) if path.exists()]
        if existing:
            paths[file.name] = existing[0]
    return paths
