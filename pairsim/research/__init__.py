"""Research on the kernels of the live machine: backtest and what is built on it."""
