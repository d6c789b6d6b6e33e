"""A second database beside the views' own, in which views are built anew, and the exchange when they are ready.

SQLite: a file beside the file, its tables copied over. PostgreSQL: a schema, its tables moved over. Indexes are made then.
All in one transaction, so that a question sees the old rows or the new ones and never a part.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from infra.database import create_indexes, open_sqlite

_BUILDING, _BESIDE = "building_", ".building.sqlite"  # before the name of a schema, at the end of a file's
_AND = "__"  # between the views of one build


def open_beside(engine: sa.Engine, views: Sequence[str]) -> sa.Engine:
    """The database in which these views are built: as it was left, or new."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as db:
            db.execute(sa.schema.CreateSchema(_schema(views), if_not_exists=True))
        return sa.create_engine(engine.url, connect_args={"options": f"-csearch_path={_schema(views)}"})
    return open_sqlite(_file(engine, views))


def begun(engine: sa.Engine) -> list[list[str]]:
    """The builds that were begun and have not taken over: of each, its views."""
    if engine.dialect.name == "postgresql":
        names = sa.inspect(engine).get_schema_names()
        builds = [name.removeprefix(_BUILDING) for name in names if name.startswith(_BUILDING)]
    else:
        builds = [file.name.removesuffix(_BESIDE) for file in _directory(engine).glob(f"*{_BESIDE}")]
    return [build.split(_AND) for build in builds]


def take_over(
    engine: sa.Engine, views: Sequence[str], tables: Sequence[sa.Table], and_then: Callable[[sa.Connection], None]
) -> None:
    """Put what was built in the place of `tables`; `and_then` runs in the same transaction. Nothing is left beside."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as db:
            here = db.execute(sa.select(sa.func.current_schema())).scalar_one()
            for table in tables:
                db.exec_driver_sql(f'drop table "{table.name}"')
                db.exec_driver_sql(f'alter table "{_schema(views)}"."{table.name}" set schema "{here}"')
                create_indexes(db, table.indexes)
            and_then(db)
            db.execute(sa.schema.DropSchema(_schema(views), cascade=True))
        return
    with engine.connect() as db:
        db.exec_driver_sql("attach database ? as beside", (str(_file(engine, views)),))
        db.commit()
        try:
            with db.begin():
                db.exec_driver_sql("begin immediate")  # pysqlite would not begin one for a `drop table`
                for table in tables:
                    built = table.to_metadata(sa.MetaData(), schema="beside")
                    table.drop(db)
                    db.execute(CreateTable(table))
                    db.execute(table.insert().from_select([column.name for column in table.columns], sa.select(built)))
                    create_indexes(db, table.indexes)
                and_then(db)
        finally:
            db.exec_driver_sql("detach database beside")
    for ending in ("", "-wal", "-shm", ".runner"):
        (_directory(engine) / (_file(engine, views).name + ending)).unlink(missing_ok=True)


def _schema(views: Sequence[str]) -> str:
    return _BUILDING + _AND.join(views)


def _file(engine: sa.Engine, views: Sequence[str]) -> Path:
    return _directory(engine) / (_AND.join(views) + _BESIDE)


def _directory(engine: sa.Engine) -> Path:
    assert engine.url.database
    return Path(engine.url.database).parent
