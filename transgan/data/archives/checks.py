"""Archives from outside are hostile until checked: member names, kinds, sizes and encryption, before anything of them is read."""

import re
import tarfile
import zipfile
from pathlib import Path

from transgan.errors import UserError

MAX_MEMBER_BYTES = 256 * 2**20  # bytes of one encoded picture; nothing legitimate comes near
MAX_RATIO = 200  # unpacked to packed size of one member; encoded pictures hardly shrink, zeros shrink a thousandfold
SMALL = 2**20  # members under this size may shrink by any ratio


def check_name(archive: Path, name: str) -> None:
    """Refuse a member that is absolute, climbs out, or has a name that means something else on another system."""
    parts = name.split("/")
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in parts or "\\" in name or "\0" in name:
        raise UserError(
            f"{archive}: refused, the member {name!r} would leave the folder it is unpacked to; get the archive from its publisher"
        )


def check_size(archive: Path, name: str, size: int, limit: int = MAX_MEMBER_BYTES) -> None:
    """Refuse a member that unpacks to more than `limit` bytes."""
    if size > limit:
        raise UserError(
            f"{archive}: refused, the member {name!r} unpacks to {size:,} bytes, more than {limit:,}; take it out of the archive"
        )


def check_zip_member(archive: Path, member: zipfile.ZipInfo, limit: int = MAX_MEMBER_BYTES) -> None:
    """All checks of a zip's member: name, no link, not encrypted, size and ratio as they should be."""
    check_name(archive, member.filename)
    kind = member.external_attr >> 28  # upper bits of the Unix mode: 0 unknown, 4 folder, 8 file
    if kind not in (0, 4, 8):
        raise UserError(
            f"{archive}: refused, the member {member.filename!r} is a link or a device; pack the files themselves"
        )
    if member.flag_bits & 0x1:
        raise UserError(
            f"{archive}: refused, the member {member.filename!r} is encrypted; unpack it with its password into a folder"
        )
    check_size(archive, member.filename, member.file_size, limit)
    if member.file_size > SMALL and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise UserError(
            f"{archive}: refused, the member {member.filename!r} unpacks {member.compress_size:,} bytes to {member.file_size:,}, as zip bombs do;"
            " get the archive from its publisher"
        )


def check_tar_member(archive: Path, member: tarfile.TarInfo, limit: int = MAX_MEMBER_BYTES) -> None:
    """All checks of a tar's member: name, a plain file or folder, size as it should be."""
    check_name(archive, member.name)
    if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)) or member.sparse is not None:
        raise UserError(
            f"{archive}: refused, the member {member.name!r} is a link, a device or sparse; pack the files themselves"
        )
    check_size(archive, member.name, member.size, limit)


def is_junk(name: str) -> bool:
    """Whether a file is what systems leave behind (.DS_Store, __MACOSX, Thumbs.db): passed over in silence."""
    parts = [part for part in name.split("/") if part not in ("", ".")]  # as pathlib, at a tenth of its cost
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1:] in (
        ["Thumbs.db"],
        ["desktop.ini"],
    )
