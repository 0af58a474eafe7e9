"""The store port: one small revisioned key-value interface with etcd's meaning, two adapters."""
