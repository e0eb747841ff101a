"""What is left out by its name: files, folders, and what lies in them."""

import pytest

from transgan.data.archives.leftovers import LeftOut


@pytest.mark.parametrize(
    ("names", "leftovers", "unfinished"),
    [
        (["a.png", "b/c.png", "./d.png"], set(), set()),
        (["x/RECYCLER/a.png", "x/RECYCLER/deep/b.png", "x/c.png"], {"x/RECYCLER"}, set()),
        ([".git/a/b.png", ".git/c.png"], {".git"}, set()),
        (["a.png.BAK", "a.png~", "sub/Thumbs.db"], {"a.png.BAK", "a.png~", "sub/Thumbs.db"}, set()),
        (["dog.jpg.PART", "dog.jpg.download/dog.jpg", "x/.dog.jpg.Xa81cQ"], set(), None),
        (["part", "download", "bak", "tmp", "recycler.png", "thumbs.png", "found.0001/a.png"], set(), set()),
    ],
)
def test_files_are_left_out_by_name(names: list[str], leftovers: set[str], unfinished: set[str] | None) -> None:
    left_out = LeftOut()
    taken = {name for name in names if left_out.takes(name)}
    expected = {"dog.jpg.PART", "dog.jpg.download", "x/.dog.jpg.Xa81cQ"} if unfinished is None else unfinished
    assert left_out.leftovers == leftovers
    assert left_out.unfinished == expected
    assert taken == {name for name in names if any(f"{name}/".startswith(f"{path}/") for path in leftovers | expected)}


def test_a_folder_is_told_from_a_file() -> None:
    left_out = LeftOut()
    assert left_out.takes("lost+found", folder=True)
    assert not left_out.takes("a.bak", folder=True)
    assert left_out.takes("a.bak")
