"""The `homeport` command where only the client library's packages are installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_its_packages_the_command_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-S", "-c", "from console.cli.entry import main; main()"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "pip install 'homeport[server,local]'" in done.stderr
    assert "Traceback" not in done.stderr
