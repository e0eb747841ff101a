"""The catalog of published files."""

from transgan.data.sources import catalog


def test_every_published_digest_is_well_formed_and_every_source_has_terms() -> None:
    for source in catalog.CATALOG.values():
        assert source.licence
        assert source.homepage.startswith("https://")
        for file in source.files:
            kind, _, value = (file.digest or "md5:" + "0" * 32).partition(":")
            assert len(value) == {"md5": 32, "sha256": 64}[kind]


def test_md5_digests_match_torchvision() -> None:
    from torchvision.datasets import CelebA

    published = {name: md5 for _, md5, name in CelebA.file_list}
    digests = {file.name: file.digest for source in catalog.CATALOG.values() for file in source.files if file.digest}
    md5 = {name: digest for name, digest in digests.items() if digest.startswith("md5:")}
    assert md5 == {name: f"md5:{published[name]}" for name in catalog_names("celeba")}


def test_a_file_that_may_arrive_over_plain_http_has_a_sha256() -> None:
    """MD5 protects against damage only, not against another content."""
    for source in catalog.CATALOG.values():
        for file in source.files:
            if any(url.startswith("http://") for url in file.urls):
                assert (file.digest or "").startswith("sha256:"), file.name


def test_sizes_are_exact_where_a_digest_is_known() -> None:
    """As TensorFlow Datasets lists them."""
    sizes = {file.name: file.size for source in catalog.CATALOG.values() for file in source.files if file.digest}
    assert sizes == {
        "cifar-10-python.tar.gz": 170498071,
        "stl10_binary.tar.gz": 2640397119,
        "img_align_celeba.zip": 1443490838,
        "list_eval_partition.txt": 2836386,
        "list_landmarks_align_celeba.txt": 12156055,
        "church_outdoor_train_lmdb.zip": 2448463466,
    }


def test_only_the_crop_around_landmarks_needs_their_file() -> None:
    celeba = catalog.CATALOG["celeba"]
    assert [file.name for file in celeba.files_for("landmarks")] == catalog_names("celeba")
    assert [file.name for file in celeba.files_for("face148")] == catalog_names("celeba")[:2]


def catalog_names(source: str) -> list[str]:
    return [file.name for file in catalog.CATALOG[source].files]
