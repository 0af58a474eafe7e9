"""Conversations: the messages of an account, in the order in which they came."""
