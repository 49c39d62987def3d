"""The portfolio: one account, one cell a (trader, market) pair, integer money."""
