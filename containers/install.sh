#!/bin/sh
# Install the versions of uv.lock in /opt/venv, without this project's own code. Dockerfile and transgan.def call it, in
# the folder of pyproject.toml and uv.lock.
#
#   install.sh cuda           the lock as it is
#   install.sh cpu [INDEX]    torch and torchvision in the same versions from PyTorch's index of CPU builds
set -eu

variant=$1
index=${2:-https://download.pytorch.org/whl/cpu}
environment=${ENVIRONMENT:-/opt/venv}
export UV_PROJECT_ENVIRONMENT="$environment" UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1

export_lock() {
    uv export --frozen --no-dev --no-emit-project --no-header --no-annotate --quiet "$@"
}

case $variant in
    cuda)
        uv sync --frozen --no-dev --no-install-project
        ;;
    cpu)
        # PyPI's torch depends on CUDA's libraries and triton; the CPU builds do not.
        locked=$(export_lock --no-hashes | sed 's/ ;.*//')
        torch=$(echo "$locked" | grep -E '^(torch|torchvision)==')
        cuda=$(echo "$locked" | sed -nE 's/^(torch|torchvision|triton|(cuda|nvidia)-[a-z0-9-]+)==.*/\1/p' | grep -v '^nvidia-ml-py$')
        requirements=$(mktemp)
        # shellcheck disable=SC2046 # one word for each package
        export_lock $(printf -- '--no-emit-package %s ' $cuda) --output-file "$requirements"
        uv venv "$environment"
        uv pip install --python "$environment" --no-deps --require-hashes --requirement "$requirements"
        # shellcheck disable=SC2086 # one word for each package
        uv pip install --python "$environment" --no-deps --default-index "$index" $torch
        rm "$requirements"
        ;;
    *)
        echo "install.sh: '$variant': cuda or cpu" >&2
        exit 2
        ;;
esac
