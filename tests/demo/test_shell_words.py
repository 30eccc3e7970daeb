"""What the demo prints for a shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

from demo.centre import Centre


def test_a_shell_has_the_settings_of_the_demo_s_centre(tmp_path: Path) -> None:
    settings = {
        "SYNC_SERVER_DATABASE_URL": f"sqlite:///{tmp_path}/a centre.db",
        "SYNC_SERVER_PROVIDER_URL": "http://h/",
    }
    centre = Centre(tmp_path, _env=settings)
    ask = f'{centre.shell_words}; printf "%s\\n" "$SYNC_SERVER_DATABASE_URL" "$SYNC_SERVER_PROVIDER_URL"'
    done = subprocess.run(["sh", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(settings.values())
