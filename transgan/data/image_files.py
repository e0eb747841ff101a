"""Which files of a folder or an archive are images: one rule for `fetch`, `prepare`, `references` and `evaluate`.

A file with the suffix of an image is one, and is damaged if its content is not. Any other file is one if its content
begins as an image does. Images of formats that are not read, labels, captions and other companions, leftovers and
unfinished downloads are left out, and counted.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from transgan.data.archives.containers import TAR_SUFFIXES, Container, Folder, open_container
from transgan.data.archives.leftovers import THUMBNAIL_FOLDERS
from transgan.data.archives.tar_sets import tars_in
from transgan.data.image_formats import FORMATS, PIXEL_ARRAY, SUFFIXES, image_format
from transgan.data.unread_containers import unread_in
from transgan.errors import UserError
from transgan.utils import files

NAMED = 3  # examples of what was left out
CORRECT_PATH = "correct `path` of the dataset in params.yaml"


@dataclass
class Selection:
    """The images among the files of a container: ascending indices into its names, and the names of the others."""

    indices: list[int]
    companions: list[str]
    leftovers: set[str]  # of operating systems and tools
    unfinished: set[str]  # downloads
    unread: Counter[str]  # images by their formats, which are not read
    used: set[str] = field(default_factory=set)  # companions whose labels were taken

    @property
    def left_out(self) -> Counter[str]:
        """The companions that were left out, by suffix."""
        return Counter(PurePosixPath(name).suffix.lower() for name in self.companions if name not in self.used)

    def note(self) -> str:
        """How many files were left out, in words; empty for none."""
        found = self._left_out_in_words()
        tars = sum(name.lower().endswith(TAR_SUFFIXES) for name in self.companions)
        advice = (
            "; tars are read only where no images are beside them: put them in a folder of their own" if tars else ""
        )
        return f"{len(self.indices):,} images; left out {found}{advice}" if found else ""

    def no_images(self, path: Path, advice: str) -> UserError:
        """The error for a source without images: it counts what was found instead."""
        found = self._left_out_in_words()
        kinds = unread_in(self.companions)
        parts = [
            f"{path}: no images in it",
            *([f"left out {found}"] if found else []),
            *([kinds] if kinds else [advice]),
        ]
        return UserError("; ".join(parts))

    def _left_out_in_words(self) -> str:
        left_out = self.left_out
        kinds = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in left_out.most_common(5))
        others = f", {len(left_out) - 5} more kinds" if len(left_out) > 5 else ""
        parts = [f"{self.unread.total():,} images of formats that are not read ({self.formats})"] if self.unread else []
        parts += [f"{left_out.total():,} files that are no images ({kinds}{others})"] if left_out else []
        if self.leftovers:
            parts.append(f"{len(self.leftovers):,} leftovers of operating systems and tools ({_some(self.leftovers)})")
        if self.unfinished:
            parts.append(
                f"{len(self.unfinished):,} unfinished downloads, whose images may be missing ({_some(self.unfinished)})"
            )
        return " and ".join(parts)

    @property
    def formats(self) -> str:
        """The formats of images that are left out, with their counts and what to do."""
        return f"{', '.join(f'{count:,} {kind}' for kind, count in self.unread.most_common())}; convert them to PNG"


def select_images(container: Container) -> Selection:
    """Find the images among the files of a container. Raises UserError when an archive is damaged."""
    names = container.names
    suffixes = [PurePosixPath(name).suffix.lower() for name in names]
    unclear = [index for index, suffix in enumerate(suffixes) if suffix not in SUFFIXES]
    beginnings = zip(unclear, container.beginnings(unclear), strict=True)
    found = {index: image_format(beginning) for index, beginning in beginnings}
    others = {index: kind for index, kind in found.items() if kind not in (*FORMATS, PIXEL_ARRAY)}
    images = [index for index in range(len(names)) if index not in others]
    thumbnails = {index: folder for index in images if (folder := _thumbnail_folder(names[index]))}
    if len(thumbnails) == len(images):
        thumbnails = {}
    return Selection(
        indices=[index for index in images if index not in thumbnails],
        companions=[names[index] for index, kind in others.items() if kind is None],
        leftovers=container.left_out.leftovers | set(thumbnails.values()),
        unfinished=container.left_out.unfinished,
        unread=Counter(kind for kind in others.values() if kind is not None),
    )


def open_images(path: Path) -> tuple[Container, Selection]:
    """Open a folder or an archive, and find its images. Where it has none but tars, these are opened as one container.

    Raises UserError when it is missing, damaged or of an unknown kind.
    """
    container = open_container(path)
    selection = select_images(container)
    if not selection.indices and (tars := tars_in(container)) is not None:
        return tars, select_images(tars)
    return container, selection


def content_digests(folder: Folder) -> tuple[list[str], list[str]]:
    """Hex SHA-256 of each file of a folder, and the files that cannot be read, with the reason.

    A link to what is not there counts as one only under the suffix of an image.
    """
    digests, failures = list[str](), list[str]()
    for path in (folder.path / name for name in folder.names):
        try:
            digests.append(files.sha256(path))
        except OSError as error:
            digests.append("unreadable")
            if path.exists() or path.suffix.lower() in SUFFIXES:
                failures.append(f"{path}: cannot be read: {files.read_failure(path, error)}")
    return digests, failures


def _thumbnail_folder(name: str) -> str | None:
    """The folder of smaller copies that an image lies in, if any."""
    parts = name.split("/")[:-1]
    depth = next((depth for depth, part in enumerate(parts, 1) if part.lower() in THUMBNAIL_FOLDERS), None)
    return "/".join(parts[:depth]) if depth else None


def _some(names: Iterable[str]) -> str:
    """The first NAMED of some names, and how many more."""
    ordered = sorted(names)
    more = f" and {len(ordered) - NAMED:,} more" if len(ordered) > NAMED else ""
    return ", ".join(ordered[:NAMED]) + more
