"""The catalog of published files."""

from transgan.data.sources import catalog


def test_every_published_digest_is_well_formed_and_every_source_has_terms() -> None:
    for source in catalog.CATALOG.values():
        assert source.licence
        assert source.homepage.startswith("https://")
        for file in source.files:
            kind, _, value = (file.digest or "md5:" + "0" * 32).partition(":")
            assert len(value) == {"md5": 32, "sha256": 64}[kind]


def test_published_digests_match_torchvision() -> None:
    from torchvision.datasets import CIFAR10, STL10, CelebA

    published = {
        CIFAR10.filename: CIFAR10.tgz_md5,
        STL10.filename: STL10.tgz_md5,
        **{name: md5 for _, md5, name in CelebA.file_list},
    }
    digests = {file.name: file.digest for source in catalog.CATALOG.values() for file in source.files if file.digest}
    assert digests == {name: f"md5:{published[name]}" for name in digests}
