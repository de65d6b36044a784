"""The browser that the browser tests drive: the system's Chromium, installed where the machine allows it."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-noto-cjk")
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = (
    "Chromium is missing and cannot be installed from here. Install it (Debian: apt-get install chromium fonts-noto-cjk) "
    "or name one with WONGATE_CHROMIUM=/path/to/chromium."
)


def find() -> str | None:
    """The path of a Chromium: the one that WONGATE_CHROMIUM names, or the first on the PATH."""
    named = os.environ.get("WONGATE_CHROMIUM")
    candidates = [named] if named else NAMES
    return next((path for name in candidates if (path := shutil.which(name))), None)


def ensure() -> str:
    """The same, after an installation by apt-get if need be. Ends the program with one clear line where that fails."""
    path = find()
    if path is None and _apt_get("update"):
        _apt_get("install", "--yes", "--no-install-recommends", *PACKAGES)
        path = find()
    if path is None:
        sys.exit(MISSING)
    return path


def _apt_get(*arguments: str) -> bool:
    apt_get = shutil.which("apt-get")
    if apt_get is None or os.environ.get("WONGATE_CHROMIUM"):
        return False
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    if as_root and shutil.which("sudo") is None:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = [*as_root, apt_get, "-qq", *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0


if __name__ == "__main__":
    print(ensure())
