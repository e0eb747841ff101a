"""Safety checks of archive members: names, kinds, sizes, compression ratios and encryption.

An archive from outside is treated as hostile. Every member is checked before any content is read.
"""

import re
import tarfile
import zipfile
from pathlib import Path

from transgan.errors import UserError

MAX_MEMBER_BYTES = 256 * 2**20  # of one encoded image; no legitimate image comes near
# Unpacked size over packed size of a member. Encoded images hardly shrink, zeros shrink a thousandfold.
MAX_COMPRESSION_RATIO = 200
RATIO_CHECKED_ABOVE = 2**20  # bytes; smaller members may have any ratio


def check_name(archive: Path, name: str) -> None:
    """Refuse a member whose name is absolute, leaves the folder, or means something else on another system."""
    parts = name.split("/")
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in parts or "\\" in name or "\0" in name:
        raise UserError(
            f"{archive}: refused, the member {name!r} would leave the folder it is unpacked to;"
            " get the archive from its publisher"
        )


def check_size(archive: Path, name: str, size: int, limit: int = MAX_MEMBER_BYTES) -> None:
    """Refuse a member that unpacks to more than `limit` bytes."""
    if size > limit:
        raise UserError(
            f"{archive}: refused, the member {name!r} unpacks to {size:,} bytes, more than {limit:,};"
            " take it out of the archive"
        )


def check_zip_member(archive: Path, member: zipfile.ZipInfo, limit: int = MAX_MEMBER_BYTES) -> None:
    """Check a zip's member: safe name, a file or folder, not encrypted, allowed size and compression ratio."""
    check_name(archive, member.filename)
    kind = member.external_attr >> 28  # upper bits of the Unix mode: 0 unknown, 4 folder, 8 file
    if kind not in (0, 4, 8):
        raise UserError(
            f"{archive}: refused, the member {member.filename!r} is a link or a device; pack the files themselves"
        )
    if member.flag_bits & 0x1:
        raise UserError(
            f"{archive}: refused, the member {member.filename!r} is encrypted;"
            " unpack it with its password into a folder"
        )
    check_size(archive, member.filename, member.file_size, limit)
    allowed = MAX_COMPRESSION_RATIO * max(member.compress_size, 1)
    if member.file_size > RATIO_CHECKED_ABOVE and member.file_size > allowed:
        raise UserError(
            f"{archive}: refused, the member {member.filename!r} unpacks {member.compress_size:,} bytes"
            f" to {member.file_size:,}, as zip bombs do; get the archive from its publisher"
        )


def check_tar_member(archive: Path, member: tarfile.TarInfo, limit: int = MAX_MEMBER_BYTES) -> None:
    """Check a tar's member: safe name, a plain file or folder, allowed size."""
    check_name(archive, member.name)
    if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)) or member.sparse is not None:
        raise UserError(
            f"{archive}: refused, the member {member.name!r} is a link, a device or sparse; pack the files themselves"
        )
    check_size(archive, member.name, member.size, limit)
