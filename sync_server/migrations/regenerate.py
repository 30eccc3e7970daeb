"""`python -m sync_server.migrations.regenerate`: write the first migration anew from the tables.

Only until the first release: as long as no database outside of a checkout was made by migration 0001, a change of the
tables rewrites it. From then on every change is a migration of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from sync_server import db, schema

FIRST = "0001"
VERSIONS = Path(__file__).parent / "versions"


def regenerate() -> Path:
    """The file written."""
    for old in VERSIONS.glob(f"{FIRST}_*.py"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        engine = db.open_engine(f"sqlite:///{folder}/empty.db")
        with db.write(engine) as connection:
            config = schema.alembic_config(connection)
            command.revision(config, message="The first tables", rev_id=FIRST, autogenerate=True)
        engine.dispose()
    (made,) = VERSIONS.glob(f"{FIRST}_*.py")
    lines = [line for line in made.read_text(encoding="utf-8").splitlines() if "Alembic" not in line]
    made.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for work in (("format", "--quiet"), ("check", "--fix", "--quiet")):
        subprocess.run([sys.executable, "-m", "ruff", *work, str(made)], check=True)
    return made


if __name__ == "__main__":
    print(regenerate())
