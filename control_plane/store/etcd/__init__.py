"""The store port on etcd."""

from control_plane.store.etcd.connection import Tls
from control_plane.store.etcd.failures import StoreRefused
from control_plane.store.etcd.store import EtcdStore

__all__ = ["EtcdStore", "StoreRefused", "Tls"]
