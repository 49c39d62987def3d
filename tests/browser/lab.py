"""A real JupyterLab on loopback, and a real Chromium that looks at it: nothing of the user's, nothing off loopback.

Two things make it steady: the page says idle before a kernel exists, so the notebook's session is asked; and the
current widget may be none, so a notebook's panel is found by its path.
"""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
READY = """async path => {
    const app = window.jupyterapp;
    await app.restored;
    const panel = await app.commands.execute('docmanager:open', {path});
    await panel.revealed; await panel.sessionContext.ready;
    app.shell.activateById(panel.id);
    const context = panel.sessionContext;
    for (let i = 0; i < 4_000; i++) {
        if (context.isReady && context.session?.kernel?.connectionStatus === 'connected'
            && context.session.kernel.status === 'idle') return true;
        await new Promise(next => setTimeout(next, 50));
    }
    throw new Error('no kernel: ' + context.session?.kernel?.status);
}"""
# The first word of what has the focus, its class, and whether an outline, or whatever the page gives it, is seen.
FOCUS = """() => {
    const el = document.activeElement;
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(el);
    const seen = (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none';
    const name = el.getAttribute('aria-label') || el.textContent.trim() || el.title || el.placeholder || '';
    return `${name.slice(0, 40)}${seen ? '' : ' without a sign of it'} <${el.tagName} ${el.className}>`;
}"""
# What does not fit into the first dashboard: beyond its edges, cut without a way to scroll, controls over each other.
MISFITS = """() => {
    const root = document.querySelector('.pairsim-dashboard');
    const edge = root.getBoundingClientRect();
    const name = (el) => `${el.tagName} ${el.className} ${el.textContent.trim().slice(0, 30)}`;
    const inside = [...root.querySelectorAll('*')].filter((el) => el.checkVisibility()
        && el.getBoundingClientRect().width && !el.parentElement.closest('.ps-scroll, .u-wrap, svg'));
    const wide = inside.filter((el) => {
        const box = el.getBoundingClientRect();
        return box.left < edge.left - 1 || box.right > edge.right + 1;
    });
    const cut = inside.filter((el) => {
        const { overflowX, display } = getComputedStyle(el);
        return display !== 'inline' && ['hidden', 'clip'].includes(overflowX) && el.scrollWidth > el.clientWidth + 1;
    });
    const controls = inside.filter((el) => el.matches('button, select, input, .noUi-handle, .widget-readout'));
    const over = controls.filter((el, i) => controls.slice(i + 1).some((other) => {
        const [a, b] = [el.getBoundingClientRect(), other.getBoundingClientRect()];
        return a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    }));
    return Object.entries({ wide, cut, over }).flatMap(([what, found]) => found.map((el) => `${what}: ${name(el)}`));
}"""


def _dies_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Lab:
    """A JupyterLab server on a folder of notebooks."""

    def __init__(self, folder: Path, marker: str) -> None:
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        for name, values in SETTINGS.items():
            path = folder / "settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        self.log = (folder / "lab.log").open("wb")
        self.environment = {
            **os.environ, "HOME": str(folder), "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(ROOT),
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "PAIRSIM_TEST_MARKER": marker,
        }  # fmt: skip
        for _ in range(5):  # somebody else may take the port between our choice and the server's start
            self._start()
            if self._answers():
                return
        raise RuntimeError(f"JupyterLab did not start: {(folder / 'lab.log').read_text()[-3000:]}")

    def _start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
             f"--port={self.port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
             "--ServerApp.disable_check_xsrf=True",
             "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=", "--LabApp.extension_manager=readonly",
             f"--ServerApp.root_dir={self.notebooks}"],
            env=self.environment, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=_dies_with_us, cwd=self.notebooks,
        )  # fmt: skip

    def _answers(self) -> bool:
        """Wait until the server answers; False when it has ended instead."""
        deadline = time.monotonic() + 180
        while self.process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.url}/api/status", timeout=30).close()
                return self.process.poll() is None  # else it is somebody else's
            assert time.monotonic() < deadline, "JupyterLab neither answers nor ends"
            time.sleep(0.05)
        return False

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, name: str, cells: list[str]) -> str:
        """Write a notebook of these code cells; its path."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.notebooks / name)
        return name

    def close(self) -> None:
        """End the server; it ends its kernels."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


class Tab:
    """A page of JupyterLab with one notebook."""

    def __init__(self, page: Any, lab: Lab, path: str) -> None:
        self.page, self.lab, self.path = page, lab, path
        self.workspace = uuid.uuid4().hex  # of its own: two tabs must not restore each other's notebooks

    def open(self) -> "Tab":
        """Load the page and wait for the notebook's kernel."""
        self.page.goto(f"{self.lab.url}/lab/workspaces/{self.workspace}", wait_until="domcontentloaded")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        self.page.evaluate(READY, self.path)
        return self

    def close_panel(self) -> None:
        """Close the notebook, not the page; its kernel lives on."""
        self.page.evaluate(
            """async path => {
            const panel = await window.jupyterapp.commands.execute('docmanager:open', {path});
            panel.close();
        }""",
            self.path,
        )

    def reopen_panel(self) -> None:
        """Open the notebook again in the same page."""
        self.page.evaluate(READY, self.path)

    def run_all(self) -> None:
        """Run all cells; returns when they have been sent."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells').catch(() => 0)")

    def command(self, name: str, **options: Any) -> None:
        """A command of JupyterLab."""
        self.page.evaluate("([name, options]) => window.jupyterapp.commands.execute(name, options)", [name, options])

    def run(self, text: str) -> None:
        """Run code in the notebook's kernel and wait until it has ended."""
        self.page.evaluate(
            """async ([path, code]) => {
            const panel = await window.jupyterapp.commands.execute('docmanager:open', {path});
            const reply = await panel.sessionContext.session.kernel.requestExecute({code}).done;
            if (reply.content.status !== 'ok') throw new Error(reply.content.evalue);
        }""",
            [self.path, text],
        )

    def start_cell(self, text: str) -> None:
        """Run code in the notebook's kernel, without waiting."""
        self.page.evaluate(
            """async ([path, code]) => {
            const panel = await window.jupyterapp.commands.execute('docmanager:open', {path});
            window.running = panel.sessionContext.session.kernel.requestExecute({code});
        }""",
            [self.path, text],
        )

    def theme(self, name: str) -> None:
        """Light or dark."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")

    def idle(self) -> None:
        """Wait until the kernel has run what it was given."""
        self.page.evaluate(
            """async path => {
            const panel = await window.jupyterapp.commands.execute('docmanager:open', {path});
            await panel.sessionContext.session.kernel.requestExecute({code: ''}).done;
        }""",
            self.path,
        )

    def drawn(self, kind: str) -> int:
        """How often the first view of a kind has been drawn in this page."""
        return int(self.page.locator(f".pairsim.ps-{kind}").first.get_attribute("data-drawn") or 0)

    def shown(self, kind: str) -> int:
        """The last message that the first view of a kind has shown."""
        return int(self.page.locator(f".pairsim.ps-{kind}").first.get_attribute("data-sequence") or 0)

    def tile(self, name: str) -> str:
        """What a tile of the dashboard says."""
        text: str = self.page.locator(f".ps-tile[data-name='{name}'] .ps-value").first.inner_text()
        return text

    def at(self) -> str:
        """What has the focus: name and class; a text between them says when that cannot be seen."""
        where: str = self.page.evaluate(FOCUS)
        return where

    def walk_to(self, name: str) -> None:
        """Press Tab until what has the focus is of this name; all on the way must be seen to have it."""
        for _ in range(80):
            self.page.keyboard.press("Tab")
            where = self.at()
            assert "without a sign" not in where, where
            if re.search(name, where):
                return
        raise AssertionError(f"{name!r} is not reached by Tab; last was {where}")

    def outcome(self) -> str:
        """What came of the last command of a button."""
        return "".join(self.page.locator(".pairsim-outcome").all_inner_texts())

    def shot(self, path: Path) -> None:
        """A picture of the dashboard."""
        dashboard = self.page.locator(".pairsim-dashboard").first
        dashboard.scroll_into_view_if_needed()
        self.page.wait_for_timeout(300)
        path.parent.mkdir(exist_ok=True)
        dashboard.screenshot(path=path)


def guarded(context: Any) -> list[str]:
    """Block what leaves loopback, and list it."""
    strayed: list[str] = []

    def look(route: Any) -> None:
        url = route.request.url
        if urlsplit(url).hostname in ("127.0.0.1", "localhost", None):
            route.continue_()
        else:
            strayed.append(url)
            route.abort()

    context.route("**/*", look)
    return strayed
