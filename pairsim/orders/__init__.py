"""Orders: words and records, sizing, checks and matching. Pure kernels; no I/O, no clock."""
