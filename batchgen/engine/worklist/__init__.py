"""The tasks that are left to do: selection, order, dependencies between tasks."""
