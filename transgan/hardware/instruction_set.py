"""Limits this process to the instruction set AVX2, for scales that promise the same bytes on every processor.

PyTorch, oneDNN, MKL, OpenBLAS and numpy choose their kernels by the processor. Another kernel adds in another order, so
the last bits differ, and a GAN's training amplifies them. The libraries read these settings once, when they are loaded
or first used. This module therefore imports none of them, and `transgan.cli` calls `limit_to_avx2` before it imports a
stage.
"""

import logging
import os
import platform
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

SETTINGS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # PyTorch's convolutions
    # PyTorch's matrix products and linear algebra. MKL's faster modes exist on Intel processors only; this one takes
    # about twice the time for matrix products.
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell",  # linear algebra of numpy and scipy
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # numpy's own loops; the names are those of numpy 2.4
}
# They would undo a setting: oneDNN's may allow products in bfloat16, and numpy refuses to disable and enable at once.
REMOVED = ("ONEDNN_DEFAULT_FPMATH_MODE", "NPY_ENABLE_CPU_FEATURES")
NEEDED = {"avx2", "fma"}


def limit_to_avx2() -> bool:
    """Set the environment of this process and its children, whatever the user has set; return whether it was done.

    Nothing is done where it cannot work: on a processor without AVX2 and FMA, on a system without /proc/cpuinfo, and in
    a process that has already loaded numpy or PyTorch, such as a test or a notebook.
    """
    loaded = [name for name in ("numpy", "torch") if name in sys.modules]
    if loaded:
        logger.debug(f"not limited to AVX2: {', '.join(loaded)} is loaded already")
        return False
    if not has_avx2():
        logger.warning("warning: this processor lacks AVX2, so results differ from those of other machines")
        return False
    for name, value in SETTINGS.items():
        if os.environ.get(name, value) != value:
            logger.debug(f"{name}={value} in place of {os.environ[name]}, for the same bytes on every processor")
        os.environ[name] = value
    for name in REMOVED:
        os.environ.pop(name, None)
    return True


def in_force() -> dict[str, str]:
    """Those of the settings that this process has, from here or from the user."""
    return {name: os.environ[name] for name in SETTINGS if name in os.environ}


def has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is an x86-64 processor with AVX2 and FMA, as far as Linux says."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return set(flags.split()) >= NEEDED
