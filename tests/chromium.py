"""Headless Chromium for tests of pages: runs a script in a page and collects its result and all errors."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
]


def probed(html: str, probe: str, folder: Path, width: int = 1400, settle: int = 5000) -> tuple[Any, list[str]]:
    """Open a page at `width` pixels and run `probe`, the body of an async function, after it has loaded.

    Returns what the probe returns, with `settle` virtual milliseconds to finish, and every error that the page or its
    console reported.
    """
    assert CHROMIUM is not None
    catch = (
        "<script>window.__errors = [];addEventListener('error', e => window.__errors.push(String(e.message)));</script>"
    )
    run = f"""<script>addEventListener("load", async () => {{
      const result = await (async () => {{ {probe} }})();
      document.documentElement.dataset.probe = JSON.stringify({{result, errors: window.__errors}});
    }});</script>"""
    page = folder / "probe.html"
    page.write_text(html.replace("<head>", f"<head>{catch}", 1) + run)
    command = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},900",
        f"--virtual-time-budget={settle}",
    ]
    shown = subprocess.run(
        [*command, "--dump-dom", f"file://{page}"], capture_output=True, text=True, timeout=180, check=True
    )
    match = re.search(r'data-probe="([^"]*)"', shown.stdout)
    assert match, shown.stderr
    report = json.loads(
        match.group(1).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )
    console = [
        line
        for line in shown.stderr.splitlines()
        if "CONSOLE" in line and re.search(r"error|refused|failed", line, re.I)
    ]
    return report["result"], [*report["errors"], *console]
