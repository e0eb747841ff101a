"""Credentials are masked in any text, and ordinary text stays as it is."""

import pytest

from transgan.utils import secrets

pytestmark = pytest.mark.faults

SECRET = "hunter2-Zq"
HIDDEN = [
    f"postgresql://user:{SECRET}@host/db",
    f"mysql+pymysql://user:{SECRET}@host:3306/db",
    f"http://{SECRET}@host:5000",
    f"https://user:p@ss{SECRET}@host/folder",
    f"postgresql://user:a/{SECRET}@host/db",
    f"postgresql://user:{SECRET}/x@host/db?sslmode=require",
    f"(see https://user:{SECRET}@host/a and https://user:{SECRET}@host/b)",
    f"HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /a/b?X-Amz-Signature={SECRET}&part=1",
    f"url: /a?sig={SECRET}",
    f"url: /a?token={SECRET}&x=1",
    f"url: /a?x=1&api_key={SECRET}",
    f"https://host/a?se=2026&anything={SECRET}",
    f"host=db password={SECRET} dbname=x",
    f"{{'user': 'x', 'password': '{SECRET}'}}",
    f"{{'Authorization': 'Bearer {SECRET}'}}",
    f"Authorization: Basic {SECRET}==",
    f"Proxy-Authorization: Basic {SECRET}",
    f"https://user:p@a/{SECRET}@host/folder",
    f"user:{SECRET}@mlflow.example.org",
    f"data.mirror: user:{SECRET}@host:/path is neither a URL nor an existing folder",
    f"MLFLOW_TRACKING_URI='first.last:{SECRET}@[::1]:5000'",
]
ORDINARY = [
    "train one-cifar10: 3,200/6,400 images, 12.0 images/s, 5:00 left d_loss 0.1, g_loss 2",
    "sqlite:////home/a@b/mlflow.db",
    "http://127.0.0.1:5000/#/experiments/1",
    "recipe.generator.lr: 0.0001 -> 0.0002",
    "key=generator.lr; tokens: 64; the basic authentication of a server",
    "see https://example.org/a:b and mail to someone@example.org",
    "/data/x?.png",
    "git@github.com:lab/project.git; models:/transgan-cifar10@headline; results/a:b@c.png",
    "nvidia/cuda:13.2@sha256:0123456789abcdef",
    "at 12:30 @ noon",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_what_looks_like_a_credential_is_masked(text: str) -> None:
    masked = secrets.mask(text)
    assert SECRET not in masked
    assert secrets.MASK in masked
    assert secrets.mask(masked) == masked


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    assert secrets.mask(text) == text


def test_host_and_database_stay() -> None:
    assert secrets.mask(f"postgresql+psycopg2://u:{SECRET}@host:1/db") == "postgresql+psycopg2://***@host:1/db"


@pytest.mark.parametrize(
    "variable",
    ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN"],
)
def test_a_known_credential_is_masked_wherever_it_stands(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "p%s$ w/ord")
    assert secrets.mask("nonnumeric port: 'p%s$ w/ord'") == "nonnumeric port: '***'"
    assert secrets.mask("p%25s%24%20w%2Ford") == secrets.MASK  # as an address quotes it


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY", "MLFLOW_TRACKING_URI"])
def test_the_password_of_an_address_is_masked_also_without_the_address(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://user:s%2Fcret%40@host:3128")
    assert secrets.mask("s%2Fcret%40 or s/cret@") == "*** or ***"


@pytest.mark.parametrize("variable", ["PWD", "TOKENIZERS_PARALLELISM", "SSH_AUTH_SOCK", "SECRET_FILE", "HF_TOKEN_PATH"])
def test_other_variables_hide_nothing(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "/home/project")
    assert secrets.mask("in /home/project") == "in /home/project"
