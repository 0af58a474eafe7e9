"""What operators and owners do: dry runs, backtests, approvals, explanations."""
