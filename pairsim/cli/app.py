"""The commands of ``pairsim``: options in, an exit status out. 0 is an end in order, 1 a failure, 2 bad input.

Imports of the engine stand inside commands, so that ``version`` and a mistyped option answer at once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pairsim import __version__
from pairsim.cli import demo as options
from pairsim.errors import InputError, PairsimError, StoreError

BAD_INPUT = 2

app = typer.Typer(
    name="pairsim",
    help="Write a trading strategy as one plain Python class; backtest it, explore it, trade it live.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _commands() -> None:
    """Makes typer expect a command's name even while there are few commands."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"pairsim {__version__}")


@app.command()
def demo(
    seconds: Annotated[str, typer.Option(metavar="N", help="How long to run.")] = f"{options.SECONDS:g}",
    markets: Annotated[
        str,
        typer.Option(
            metavar="A/B,C/D",
            help="Symbols with commas between; each gets a trader, by turns RSI 5s, Simple 2s, RSI 15s.",
        ),
    ] = ",".join(options.MARKETS),
    speed: Annotated[
        str, typer.Option(metavar="X", help="Seconds of feed time in a second, or max.")
    ] = f"{options.SPEED:g}",
    seed: Annotated[str, typer.Option(metavar="N", help="The same seed gives the same candles.")] = f"{options.SEED}",
    store: Annotated[
        str | None, typer.Option(metavar="FILE", help="Keep the journal of orders and fills in this file.")
    ] = None,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="Log what happens (-vv: more).")] = 0,
) -> None:
    """Trade random candles live in worker processes, watched in the terminal. Ctrl-C ends it in order."""
    chosen = options.Options(
        seconds=_option("--seconds", options.parse_seconds, seconds),
        markets=_option("--markets", options.parse_markets, markets),
        speed=_option("--speed", options.parse_speed, speed),
        seed=_option("--seed", options.parse_seed, seed),
        store=None if store is None else Path(store),
    )
    from rich.console import Console

    from pairsim.cli.session import logs_shown, run_demo

    try:
        with logs_shown(verbose):
            status = run_demo(chosen, Console())
    except PairsimError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(BAD_INPUT if isinstance(error, (InputError, StoreError)) else 1) from None
    raise typer.Exit(status)


def main() -> None:
    """The console script ``pairsim``."""
    app(prog_name="pairsim")


def _option(name: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except InputError as error:
        typer.echo(f"Error: {name} {error}", err=True)
        raise typer.Exit(BAD_INPUT) from None
