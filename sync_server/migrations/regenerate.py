"""`python -m sync_server.migrations.regenerate`: write the newest migration anew from the tables.

One migration leads from one release to the next: until a release is out, a change of the tables rewrites its migration;
those before it are never touched.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.operations.ops import DropConstraintOp, MigrationScript, ModifyTableOps

from sync_server import db, schema

MESSAGE = "Second release"
VERSIONS = Path(__file__).parent / "versions"


def regenerate() -> Path:
    """The file written."""
    for old in VERSIONS.glob(f"{schema.HEAD}_*.py"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        engine = db.open_engine(f"sqlite:///{folder}/empty.db")
        with db.write(engine) as connection:
            config = schema.alembic_config(connection)
            command.upgrade(config, "head")
            command.revision(
                config, MESSAGE, autogenerate=True, rev_id=schema.HEAD, process_revision_directives=in_one_order
            )
        engine.dispose()
    (made,) = VERSIONS.glob(f"{schema.HEAD}_*.py")
    lines = [line for line in made.read_text(encoding="utf-8").splitlines() if "Alembic" not in line]
    made.write_text(keep_without_rowid("\n".join(lines) + "\n"), encoding="utf-8")
    for work in (("format", "--quiet"), ("check", "--fix", "--quiet")):
        subprocess.run([sys.executable, "-m", "ruff", *work, str(made)], check=True)
    return made


def keep_without_rowid(script: str) -> str:
    """Tables that SQLite keeps by their key are built anew as such, which Alembic does not say by itself."""
    for table in schema.metadata.tables.values():
        if not table.dialect_options["sqlite"]["with_rowid"]:
            said = f"op.batch_alter_table({table.name!r}, schema=None"
            script = script.replace(f"{said})", f"{said}, table_kwargs={{'sqlite_with_rowid': False}})")
    return script


def in_one_order(_context: object, _revision: object, scripts: list[MigrationScript]) -> None:
    """Alembic drops the foreign keys of a table in the order of a set, which is another one each time."""
    for script in scripts:
        assert script.upgrade_ops is not None
        for change in script.upgrade_ops.ops:
            if isinstance(change, ModifyTableOps):
                dropped = iter(sorted((op for op in change.ops if isinstance(op, DropConstraintOp)), key=_name))
                change.ops = [next(dropped) if isinstance(op, DropConstraintOp) else op for op in change.ops]


def _name(dropped: DropConstraintOp) -> str:
    return str(dropped.constraint_name)


if __name__ == "__main__":
    print(regenerate())
