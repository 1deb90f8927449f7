"""What all tables share: their base, the kinds of columns, and the words that several of them take."""

from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    MetaData,
    Numeric,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

MONEY = Numeric(18, 6)
"""Rupees: averages over fills keep more than two decimals."""

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


class TableModel(SQLModel):
    """Base of all tables; its metadata is what the migrations are compared with."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


def id_field() -> Any:
    """The primary key, given by the database."""
    return Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))


def reference_field(target: str, *, nullable: bool = False, ondelete: str | None = None) -> Any:
    """A foreign key of one column."""
    foreign_key = ForeignKey(target, ondelete=ondelete)
    return Field(default=None, sa_column=Column(BigInteger, foreign_key, nullable=nullable))


def instant_field(*, nullable: bool = False, now: bool = False, partitions: bool = False) -> Any:
    """A timestamptz; `now`: of the transaction, unless another is given; `partitions`: by which the table is cut.

    PostgreSQL wants the column by which a table is cut in its primary key.
    """
    default = func.now() if now else None
    instant = DateTime(timezone=True)
    column = Column(instant, nullable=nullable, server_default=default, primary_key=partitions)
    return Field(default=None, sa_column=column)


def text_field(*, nullable: bool = False, default: str | None = None, unique: bool | None = None) -> Any:
    """A text of any length."""
    column = Column(Text, nullable=nullable, server_default=default, unique=unique)
    return Field(default=default, sa_column=column)


def integer_field(*, nullable: bool = False, default: int | None = None) -> Any:
    """A bigint."""
    server_default = None if default is None else text(str(default))
    return Field(default=default, sa_column=Column(BigInteger, nullable=nullable, server_default=server_default))


def money_field() -> Any:
    """A NUMERIC of rupees, or nothing."""
    return Field(default=None, sa_column=Column(MONEY, nullable=True))


def json_field(*, nullable: bool = False) -> Any:
    """A JSON object."""
    server_default = None if nullable else text("'{}'::jsonb")
    return Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=nullable, server_default=server_default)
    )


def one_of(column: str, *words: str) -> CheckConstraint:
    """The column holds one of these words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


PRODUCTS = ("MIS", "CNC")
