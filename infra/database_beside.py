"""A second database beside the views' own, in which a view is built anew, and the exchange when it is ready.

SQLite: a file beside the file, its tables copied over. PostgreSQL: a schema, its tables moved over. Both in one
transaction, so that a question sees the old rows or the new ones and never a part.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from infra.database import open_sqlite


def open_beside(engine: sa.Engine, name: str) -> sa.Engine:
    """The database in which the view `name` is built: as it was left, or new."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as db:
            db.execute(sa.schema.CreateSchema(_schema(name), if_not_exists=True))
        return sa.create_engine(engine.url, connect_args={"options": f"-csearch_path={_schema(name)}"})
    return open_sqlite(_file(engine, name))


def is_begun(engine: sa.Engine, name: str) -> bool:
    """Whether a build of this view was begun and has not taken over."""
    if engine.dialect.name == "postgresql":
        return _schema(name) in sa.inspect(engine).get_schema_names()
    return _file(engine, name).exists()


def take_over(engine: sa.Engine, name: str, tables: Sequence[sa.Table], and_then: Callable[[sa.Connection], None]) -> None:
    """Put what was built in the place of `tables`; `and_then` runs in the same transaction. Nothing is left beside."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as db:
            here = db.execute(sa.select(sa.func.current_schema())).scalar_one()
            for table in tables:
                db.exec_driver_sql(f'drop table "{table.name}"')
                db.exec_driver_sql(f'alter table "{_schema(name)}"."{table.name}" set schema "{here}"')
            and_then(db)
            db.execute(sa.schema.DropSchema(_schema(name), cascade=True))
        return
    with engine.connect() as db:
        db.exec_driver_sql("attach database ? as beside", (str(_file(engine, name)),))
        db.commit()
        try:
            with db.begin():
                db.exec_driver_sql("begin immediate")  # pysqlite would not begin one for a `drop table`
                for table in tables:
                    built = table.to_metadata(sa.MetaData(), schema="beside")
                    table.drop(db)
                    db.execute(CreateTable(table))
                    db.execute(table.insert().from_select([column.name for column in table.columns], sa.select(built)))
                    for index in table.indexes:
                        index.create(db)
                and_then(db)
        finally:
            db.exec_driver_sql("detach database beside")
    for ending in ("", "-wal", "-shm", ".runner"):
        _file(engine, name).with_name(_file(engine, name).name + ending).unlink(missing_ok=True)


def _schema(name: str) -> str:
    return f"building_{name}"


def _file(engine: sa.Engine, name: str) -> Path:
    assert engine.url.database
    return Path(engine.url.database).with_name(f"{name}.building.sqlite")
