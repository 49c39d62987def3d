"""Why a method runs as plain Python, in the user's words."""

from pairsim.strategies.strategy import Strategy


def explain_fallback(strategy: Strategy, error: Exception) -> str:
    return f"plain Python: {type(error).__name__} {error}"
