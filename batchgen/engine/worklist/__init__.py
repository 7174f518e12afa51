"""What is left to do: selection, order, dependencies between tasks."""
