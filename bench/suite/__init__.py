"""What is measured: the pytest modules and the workloads they run."""
