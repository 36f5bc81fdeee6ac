"""The only place that reads settings, wires parts and starts processes."""
