"""From a manifest file to checked tasks: formats, expansion, plan, dependencies."""
