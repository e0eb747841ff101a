"""What operating systems, storage boxes, editors and browsers leave beside images, told by name.

Unfinished downloads are kept apart: the images that they would have become may be missing.
"""

import re
from dataclasses import dataclass, field

# In lower case: macOS, also on network drives; Windows; Linux; Synology, QNAP, NetApp. Hidden files and folders (.git,
# .Trashes, .snapshot, .ipynb_checkpoints) need no list.
FOLDERS = frozenset(
    {
        "__macosx",
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        "$recycle.bin",
        "recycler",
        "recycled",
        "system volume information",
        "msocache",
        "lost+found",
        "@eadir",
        "@tmp",
        "#recycle",
        "#snapshot",
        "@recycle",
        "@recently-snapshot",
        "~snapshot",
        "__pycache__",
    }
)
RECOVERED = re.compile(r"found\.\d{3}")  # folders of Windows' chkdsk
FILES = frozenset(
    {
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
        "picasa.ini",
        "zbthumbnail.info",
        "sync.ffs_db",
    }
)
# Copies that editors and patch keep, and temporary files.
COPIES = frozenset({"bak", "backup", "orig", "old", "rej", "tmp", "temp", "swp", "swo"})
# Of wget, curl, Firefox, Chrome, Safari, Opera, uTorrent, aria2, BitComet and FileZilla.
UNFINISHED = frozenset(
    {"part", "partial", "crdownload", "download", "opdownload", "!ut", "aria2", "bc!", "filepart", "incomplete"}
)
# Of rsync and Syncthing, which hide them.
HIDDEN_UNFINISHED = re.compile(r"\.(syncthing\..+\.tmp|.+\.(jpe?g|png|webp|bmp|tiff?|ppm|npy)\.[a-z0-9]{6})", re.DOTALL)
# Of smaller copies: left out only where other images are beside them, because a class may have this name.
THUMBNAIL_FOLDERS = frozenset({"thumbs", "thumbnails"})


@dataclass
class LeftOut:
    """The paths of what was left out of a folder or an archive. A folder counts once, whatever is in it."""

    leftovers: set[str] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    _folders: dict[str, bool] = field(default_factory=dict)  # whether they are left out: most files share few folders

    def takes(self, name: str, folder: bool = False) -> bool:
        """Whether the file (or folder) with this path is left out; it is then noted."""
        # Without pathlib, which is ten times slower: archives have hundreds of thousands of members.
        if folder:
            return self._takes_folder(name)
        around, _, file = name.rpartition("/")
        return (around != "" and self._takes_folder(around)) or self._takes(name, file, folder=False)

    def _takes_folder(self, path: str) -> bool:
        if path not in self._folders:
            around, _, name = path.rpartition("/")
            self._folders[path] = (around != "" and self._takes_folder(around)) or self._takes(path, name, folder=True)
        return self._folders[path]

    def _takes(self, path: str, name: str, folder: bool) -> bool:
        if is_unfinished(name, folder):
            self.unfinished.add(path)
        elif is_leftover(name, folder):
            self.leftovers.add(path)
        else:
            return False
        return True


def is_unfinished(name: str, folder: bool) -> bool:
    """Whether a file (or folder) of this name is an unfinished download."""
    name = name.lower()
    if folder:
        return name.endswith(".download")  # of Safari
    return ("." in name and name.rpartition(".")[2] in UNFINISHED) or (
        name[:1] == "." and HIDDEN_UNFINISHED.fullmatch(name) is not None
    )


def is_leftover(name: str, folder: bool) -> bool:
    """Whether an operating system or a tool left a file (or folder) of this name behind."""
    if name in ("", "."):
        return False
    name = name.lower()
    if name[0] == "." or name.startswith("~$"):  # hidden, or the lock file of an office program
        return True
    if folder:
        return name in FOLDERS or RECOVERED.fullmatch(name) is not None
    return name in FILES or name[-1] == "~" or ("." in name and name.rpartition(".")[2] in COPIES)
