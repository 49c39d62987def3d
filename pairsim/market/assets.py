"""Where the random walk of a market begins and how much is traded: plausible, a function of its name alone."""

import hashlib

# In US dollars, rounded: plausible, not current. What is not here is drawn by its name.
_DOLLARS = {
    "BTC": 60_000.0,
    "XBT": 60_000.0,
    "ETH": 3_000.0,
    "BNB": 580.0,
    "SOL": 150.0,
    "XRP": 0.6,
    "ADA": 0.45,
    "DOGE": 0.15,
    "AVAX": 30.0,
    "DOT": 6.0,
    "LINK": 15.0,
    "LTC": 80.0,
    "SUI": 1.5,
    "TRX": 0.12,
    "XMR": 160.0,
    "BCH": 400.0,
    "ETC": 25.0,
    "DASH": 30.0,
    "ATOM": 7.0,
    "NEAR": 5.0,
    "APT": 8.0,
    "ARB": 0.9,
    "OP": 2.0,
    "USD": 1.0,
    "USDT": 1.0,
    "USDC": 1.0,
    "BUSD": 1.0,
    "DAI": 1.0,
    "EUR": 1.1,
    "GBP": 1.3,
}


def start_price(symbol: str) -> float:
    """Price, in the quote currency, at which the walk of a market begins: known assets near their real one."""
    base, _, quote = symbol.partition("/")
    dollars = _DOLLARS.get(base.upper())
    if dollars is None:
        dollars = float(f"{10.0 ** (-1.0 + 3.5 * _unit(f'price/{base}')):.3g}")
    return dollars / _DOLLARS.get(quote.upper(), 1.0)


def daily_volume(symbol: str) -> float:
    """Mean volume of a day in the base currency: worth 10 to 1,000 million dollars."""
    _, _, quote = symbol.partition("/")
    turnover = 10.0 ** (7.0 + 2.0 * _unit(f"turnover/{symbol}"))
    return turnover / _DOLLARS.get(quote.upper(), 1.0) / start_price(symbol)


def name_hash(text: str) -> int:
    """64 bits that depend on every letter, the same in every process (Python's own hash is not)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _unit(text: str) -> float:
    return (name_hash(text) & 0xFFFFFFFF) / 2.0**32
