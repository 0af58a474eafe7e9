"""Who calls and what they may do: API tokens and their rights."""
