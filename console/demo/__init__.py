"""What `make demo` and `make demo-decisions` show: a local stack, real addresses, a map."""
