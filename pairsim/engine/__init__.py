"""The machine: traders evaluated in worker processes, orders executed by an asyncio order engine, one host per run."""
