"""What happens: one file per story. The only place that opens transactions and calls `store` and `providers`."""
