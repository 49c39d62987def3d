"""The journal's rows as polars frames. Pure: frames in, frames out; the only module of the store that imports polars.

Integers become the user's words and floats here: a quantity is units / 10**scale, a time Datetime ns UTC.
"""

from collections.abc import Sequence

import polars as pl

from pairsim.orders.order import TERMINAL, Liquidity, OrderType, Status
from pairsim.store import schema

_TYPES = {"INTEGER": pl.Int64, "REAL": pl.Float64, "TEXT": pl.String, "BLOB": pl.Binary}
_TIME = pl.Datetime("ns", "UTC")
_SIDES = {1: "BUY", -1: "SELL"}
_MOST_CHUNKS = 64
_FINAL = [int(status) for status in TERMINAL]

Rows = list[tuple[object, ...]]


def raw(table: str, rows: Rows) -> pl.DataFrame:
    """Rows of ``stored`` columns as they are, typed by the table's declaration."""
    described = schema.TABLES[table]
    types = {name: declared.split()[0] for name, declared in described.columns}
    shape = {name: _TYPES[types.get(name, "INTEGER")] for name in described.stored}
    # By columns: several times faster than rows, of which polars would look at every cell for its type.
    columns = list(zip(*rows)) or [()] * len(shape)
    return pl.DataFrame(
        [pl.Series(name, values, dtype=kind) for (name, kind), values in zip(shape.items(), columns)],
    )


def stack(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """One frame after the other; hours of small additions would leave thousands of chunks, so they are merged."""
    return pl.concat(parts, rechunk=parts[0].n_chunks() > _MOST_CHUNKS)


def orders(
    events: pl.DataFrame, fills: pl.DataFrame, orders: pl.DataFrame, markets: pl.DataFrame, traders: pl.DataFrame
) -> pl.DataFrame:
    """See ``Reader.orders``."""
    filled = fills.group_by("order_id").agg(
        pl.col("quantity").sum().alias("filled"),
        # A mean of equal prices may miss them by a rounding error: then it is that price.
        pl.when(pl.col("price").min() == pl.col("price").max())
        .then(pl.col("price").first())
        .otherwise((pl.col("price") * pl.col("quantity")).sum() / pl.col("quantity").sum())
        .alias("average_price"),
    )
    told = events.group_by("order_id", maintain_order=True).agg(
        pl.col("status").last().alias("told"), pl.col("reason").drop_nulls().last()
    )
    joined = _named(orders, markets, traders)
    joined = joined.join(filled, on="order_id", how="left", maintain_order="left")
    joined = joined.join(told, on="order_id", how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("filled").fill_null(0))
    return joined.select(
        _time("timestamp"),
        "symbol",
        "trader",
        _word("side", _SIDES),
        _word("type", {kind.value: kind.name for kind in OrderType}),
        _quantity("quantity"),
        "limit_price",
        _word("status", {status.value: status.name for status in Status}, _status()),
        _quantity("filled").alias("filled_quantity"),
        "average_price",
        "reason",
        "client_order_id",
        "stop_price",
        "stop_loss",
        "take_profit",
        _time(pl.when(pl.col("expires_ns") > 0).then("expires_ns")).alias("expires"),
        _time("wall_ns").alias("wall_time"),
        "order_id",
        "parent_order_id",
        "run",
        "n",
        "signal",
        "position_quantity",
        "position_average_price",
        "position_pending",
        "cash",
        "equity",
        "portfolio_sequence",
    )


def fills(fills: pl.DataFrame, orders: pl.DataFrame, markets: pl.DataFrame, traders: pl.DataFrame) -> pl.DataFrame:
    """See ``Reader.fills``."""
    ids = orders.select("order_id", "client_order_id")
    joined = _named(fills, markets, traders).join(ids, on="order_id", how="left", maintain_order="left")
    return joined.select(
        _time("timestamp"),
        "symbol",
        "trader",
        _word("side", _SIDES),
        _quantity("quantity"),
        "price",
        _money("fee"),
        _word("liquidity", {kind.value: kind.name for kind in Liquidity}),
        "client_order_id",
        "trade_id",
        _money("notional"),
        pl.col("late") != 0,
        _time("wall_ns").alias("wall_time"),
        "order_id",
        "run",
    )


def story(orders: pl.DataFrame, events: pl.DataFrame, fills: pl.DataFrame, markets: pl.DataFrame) -> pl.DataFrame:
    """See ``Reader.events``; all three frames are of one order."""
    ordered = orders["quantity"][0]
    place = {"run": orders["run"][0], "market": orders["market"][0]}
    intent = orders.select("timestamp", "wall_ns", _number(Status.INITIALIZED).alias("status"), step=pl.lit(0))
    told = events.select("timestamp", "wall_ns", "status", "reason", step=pl.lit(1))
    so_far = pl.col("quantity").cum_sum()
    reached = pl.when(so_far >= ordered).then(_number(Status.FILLED)).otherwise(_number(Status.PARTIALLY_FILLED))
    money = fills.select("price", "fee", "liquidity", "trade_id")
    done = fills.select(
        "timestamp", "wall_ns", "quantity", reached.alias("status"), so_far.alias("filled"), step=pl.lit(1)
    )
    # By the wall clock, which may be set back: at least the intent stays in front.
    steps = pl.concat([intent, told, done.hstack(money)], how="diagonal")
    steps = steps.sort(pl.col("step") > 0, "wall_ns", maintain_order=True)
    steps = steps.with_columns(*(pl.lit(value).alias(name) for name, value in place.items()))
    steps = steps.with_columns(pl.col("filled").forward_fill().fill_null(0))
    return steps.join(_scales(markets), on=["run", "market"], how="left", maintain_order="left").select(
        _time("timestamp"),
        _time("wall_ns").alias("wall_time"),
        _word("status", {status.value: status.name for status in Status}),
        _quantity("quantity"),
        "price",
        _money("fee"),
        _word("liquidity", {kind.value: kind.name for kind in Liquidity}),
        _quantity("filled").alias("filled_quantity"),
        "reason",
        "trade_id",
    )


def equity(marks: pl.DataFrame) -> pl.DataFrame:
    """See ``Reader.equity``."""
    return marks.select(_time("timestamp"), "equity")


def health(entries: pl.DataFrame, traders: pl.DataFrame) -> pl.DataFrame:
    """See ``Reader.health``."""
    return _trader_named(entries, traders).select(
        _time("timestamp"), "trader", "kind", "message", "traceback", _time("wall_ns").alias("wall_time"), "run"
    )


def controls(entries: pl.DataFrame, traders: pl.DataFrame) -> pl.DataFrame:
    """See ``Reader.controls``."""
    return _trader_named(entries, traders).select(
        _time("timestamp"), "trader", "kind", "payload", "sequence", _time("wall_ns").alias("wall_time"), "run"
    )


def feed(entries: pl.DataFrame, markets: pl.DataFrame) -> pl.DataFrame:
    """See ``Reader.feed``."""
    return entries.join(_scales(markets), on=["run", "market"], how="left", maintain_order="left").select(
        _time("timestamp"), "symbol", "kind", "count", "message", _time("wall_ns").alias("wall_time"), "run"
    )


def runs(rows: Rows) -> pl.DataFrame:
    """See ``Reader.runs``."""
    shape = {"run": pl.Int64, "started": pl.Int64, "ended": pl.Int64, "config": pl.String}
    return pl.DataFrame(rows, schema=shape, orient="row").with_columns(_time("started"), _time("ended"))


def _status() -> pl.Expr:
    """The rule: filled in full is FILLED; else an end that was told stands (a late fill on a cancelled order is booked
    and the order stays cancelled), and so do the two doubts; else fills say it, else the last event, else only the
    intent is known."""
    told = pl.col("told")
    doubts = [int(Status.PENDING_CANCEL), int(Status.UNKNOWN)]
    return (
        pl.when((pl.col("filled") > 0) & (pl.col("filled") >= pl.col("quantity")))
        .then(_number(Status.FILLED))
        .when(told.is_in([*_FINAL, *doubts]))
        .then(told)
        .when(pl.col("filled") > 0)
        .then(_number(Status.PARTIALLY_FILLED))
        .otherwise(told.fill_null(int(Status.INITIALIZED)))
    )


def _scales(markets: pl.DataFrame) -> pl.DataFrame:
    return markets.select(
        "run",
        "market",
        "symbol",
        # 10**scale is exact in a float, and so is one division by it where the units are below 2**53.
        base_unit=pl.lit(10.0).pow(pl.col("base_scale")),
        quote_unit=pl.lit(10.0).pow(pl.col("quote_scale")),
    )


def _named(rows: pl.DataFrame, markets: pl.DataFrame, traders: pl.DataFrame) -> pl.DataFrame:
    return _trader_named(rows, traders).join(_scales(markets), on=["run", "market"], how="left", maintain_order="left")


def _trader_named(rows: pl.DataFrame, traders: pl.DataFrame) -> pl.DataFrame:
    names = traders.select("run", pl.col("trader").alias("number"), pl.col("name").alias("trader"))
    return rows.rename({"trader": "number"}).join(names, on=["run", "number"], how="left", maintain_order="left")


def _quotient(columns: Sequence[pl.Series]) -> pl.Series:
    return pl.Series(columns[0].to_numpy() / columns[1].to_numpy(), dtype=pl.Float64).fill_nan(None)


def _number(status: Status) -> pl.Expr:
    return pl.lit(int(status), pl.Int64)


def _time(column: str | pl.Expr) -> pl.Expr:
    return (pl.col(column) if isinstance(column, str) else column).cast(_TIME)


def _quantity(column: str) -> pl.Expr:
    return _scaled(column, "base_unit")


def _money(column: str) -> pl.Expr:
    return _scaled(column, "quote_unit")


def _scaled(column: str, unit: str) -> pl.Expr:
    # Not polars' own division: by a column of one value it multiplies with the reciprocal, an ulp off for one in eight.
    return pl.map_batches([pl.col(column), pl.col(unit)], _quotient, return_dtype=pl.Float64)


def _word(name: str, words: dict[int, str], number: pl.Expr | None = None) -> pl.Expr:
    """A number of an enum as its word; one that a newer pairsim wrote is UNKNOWN."""
    numbers = pl.col(name) if number is None else number
    word = numbers.replace_strict(words, default="UNKNOWN", return_dtype=pl.String)
    return pl.when(numbers.is_not_null()).then(word).alias(name)
