# Everything that a stage needs: the versions of uv.lock, this project's code, params.yaml and the workflow.
# docs/containers.md says how to use it.
#
#   docker build --tag transgan .                               # for GPUs
#   docker build --tag transgan:cpu --build-arg TORCH=cpu .     # for CPUs
#
# CUDA's libraries are those that the lock names for torch, and the driver is the host's, so the base is plain Python.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG TORCH=cuda
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG UV=0.13.9
RUN pip install --no-cache-dir uv==${UV}
WORKDIR /src
# The packages are a layer of their own, which an edit of the code leaves as it is.
COPY pyproject.toml uv.lock ./
COPY containers/install.sh containers/
RUN sh containers/install.sh "${TORCH}" "${TORCH_INDEX}"
COPY README.md LICENSE hatch_build.py params.yaml dvc.yaml .gitignore .dvcignore ./
COPY .dvc/config .dvc/.gitignore .dvc/
COPY .dvc/plots .dvc/plots/
COPY workflow workflow
COPY transgan transgan
COPY snakemake_executor_plugin_transgan_slurm snakemake_executor_plugin_transgan_slurm
COPY snakemake_logger_plugin_transgan snakemake_logger_plugin_transgan
RUN uv pip install --no-cache --compile-bytecode --python /opt/venv --no-deps .

FROM ${BASE}
# git: provenance names the commit. g++: torch.compile compiles. Debian serves the newest version only, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*' \
    && useradd --uid 1000 --create-home transgan \
    && chmod 1777 /home/transgan \
    && install --directory --owner transgan --group transgan /work
COPY --from=build /opt/venv /opt/venv
# PYTHONPATH: the code of a checkout mounted on /work takes precedence over the image's.
# HOME and USER: with `docker run --user` neither is known, and torch wants a name and a folder for compiled kernels.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/work \
    HOME=/home/transgan \
    USER=transgan \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    MLFLOW_DISABLE_TELEMETRY=true \
    DVC_NO_ANALYTICS=1
WORKDIR /work
COPY --chown=transgan:transgan params.yaml ./
COPY --chown=transgan:transgan workflow workflow
# As a number, so that Kubernetes can tell that it is not root.
USER 1000
CMD ["transgan", "--help"]
