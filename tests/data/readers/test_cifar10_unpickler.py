"""The unpickler of CIFAR-10's batches reads plain data and refuses everything else."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.data.sample_archives import python_two_pickle
from transgan.data.readers.cifar10 import RestrictedUnpickler


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"(posix|nt)\.system"):
        RestrictedUnpickler(io.BytesIO(pickle.dumps({b"data": Evil()}, protocol))).load()
    assert not Path("evil").exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__", "open"])
def test_a_pickle_that_asks_for_builtins_is_refused(name: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match="does not need"):
        RestrictedUnpickler(io.BytesIO(f"cbuiltins\n{name}\n.".encode())).load()


@pytest.mark.parametrize("array", [np.array([{}, []], dtype=object), np.zeros(3), np.array(["text"])])
def test_a_pickle_of_other_arrays_is_refused(array: np.ndarray) -> None:
    for content in (pickle.dumps(array, 2), python_two_pickle(array)):
        with pytest.raises(pickle.UnpicklingError, match="array"):
            RestrictedUnpickler(io.BytesIO(content)).load()


@pytest.mark.parametrize("dump", [lambda value: pickle.dumps(value, 2), python_two_pickle], ids=["python3", "python2"])
def test_plain_data_and_byte_arrays_are_read(dump: object) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 12)
    value = {
        b"data": array,
        b"labels": [1, 2],
        b"batch_label": b"testing batch 1 of 1",
        b"fortran": np.asfortranarray(array),
    }
    loaded = RestrictedUnpickler(io.BytesIO(dump(value))).load()  # type: ignore[operator]
    np.testing.assert_array_equal(loaded.pop(b"data"), array)
    np.testing.assert_array_equal(loaded.pop(b"fortran"), array)
    assert loaded == {b"labels": [1, 2], b"batch_label": b"testing batch 1 of 1"}
