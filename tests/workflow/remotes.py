"""Servers that hold a DVC remote, as a lab has them: an S3 server (moto) and Debian's sshd, on this machine only."""

import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
# Made up. `Remote.environment` hands them to DVC.
KEY_ID, SECRET = "key-of-this-test", "secret-of-this-test"


class Remote:
    """What a test needs of a remote: how a user configures it, and the files that it holds."""

    url: str
    shared: dict[str, str]  # options for .dvc/config
    local: dict[str, str]  # options for .dvc/config.local
    environment: dict[str, str]

    def files(self) -> dict[str, bytes]:
        """Path below the remote's root -> content."""
        raise NotImplementedError

    def objects(self) -> dict[str, bytes]:
        """MD5 in a file's name -> content, without temporary files."""
        return {
            path.removeprefix("files/md5/").replace("/", ""): content
            for path, content in self.files().items()
            if not path.endswith(".tmp")
        }

    def damaged(self) -> list[str]:
        """Names of files whose content has another MD5."""
        return [
            name
            for name, content in self.objects().items()
            if hashlib.md5(content).hexdigest() != name.removesuffix(".dir")
        ]


class Folder(Remote):
    """A remote whose files are in a folder of this machine: that of a local remote, or of sshd."""

    def __init__(self, folder: Path, url: str, local: dict[str, str]) -> None:
        self.folder, self.url, self.shared, self.local, self.environment = folder, url, {}, local, {}

    def files(self) -> dict[str, bytes]:
        """As in Remote. A file that DVC renames meanwhile is left out."""
        found = {}
        for path in self.folder.rglob("*"):
            try:
                found[str(path.relative_to(self.folder))] = path.read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                continue
        return found


class Bucket(Remote):
    """A bucket of an S3 server."""

    def __init__(self, port: int) -> None:
        import boto3

        self.url, self.local = "s3://lab/transgan", {}
        self.shared = {"endpointurl": f"http://127.0.0.1:{port}"}
        self.environment = {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=self.shared["endpointurl"],
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket="lab")

    def files(self) -> dict[str, bytes]:
        """As in Remote."""
        listed = self.client.list_objects_v2(Bucket="lab").get("Contents", [])
        return {
            item["Key"].removeprefix("transgan/"): self.client.get_object(Bucket="lab", Key=item["Key"])["Body"].read()
            for item in listed
        }


@contextmanager
def s3_server(folder: Path) -> Iterator[Remote]:
    """moto's S3 server with an empty bucket. Skips the test where moto or dvc-s3 is not installed."""
    need("moto", "dvc_s3")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, folder / "moto.log"):
        yield Bucket(port)


@contextmanager
def ssh_server(folder: Path) -> Iterator[Remote]:
    """Debian's sshd with keys and a configuration of its own. Skips the test where it or dvc-ssh is not installed."""
    need("dvc_ssh")
    if SSHD is None:
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as Debian's service does; sshd insists on it
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPasswordAuthentication no\nUsePAM no\n"
        "Subsystem sftp internal-sftp\n"
    )
    import getpass

    store = folder / "store"
    with running([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], port, folder / "sshd.log"):
        local = {"user": getpass.getuser(), "keyfile": str(folder / "user")}
        yield Folder(store, f"ssh://127.0.0.1:{port}{store}", local)


def need(*modules: str) -> None:
    """Skip the test unless all modules are installed."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} not installed: make setup-servers")


def free_port() -> int:
    """A TCP port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, log: Path, seconds: float = 60) -> Iterator[None]:
    """A server, from when it listens on its port."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as server:
        try:
            end = time.monotonic() + seconds
            while not _listens(port):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            server.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
