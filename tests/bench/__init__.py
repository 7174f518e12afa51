"""What batchgen costs, side by side with loops that keep no promise: `python -m tests.bench`."""
