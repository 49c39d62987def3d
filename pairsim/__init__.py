"""pairsim: write a trading strategy as one plain Python class, backtest it, explore it, trade it live."""

__version__ = "0.1.0"
