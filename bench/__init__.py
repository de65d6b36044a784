"""Measurements that anybody can repeat: `make bench`. Each figure stands beside pgbench or another figure of the same run."""
