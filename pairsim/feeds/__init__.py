"""Feeds: where candles come from. A feed is a small protocol in plain Python; two are shipped."""

from pairsim.feeds.feed import Feed, batches, history_of
from pairsim.feeds.quarantine import Quarantine
from pairsim.feeds.random import RandomFeed
from pairsim.feeds.replay import ReplayFeed

__all__ = ["Feed", "Quarantine", "RandomFeed", "ReplayFeed", "batches", "history_of"]
