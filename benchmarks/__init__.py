"""The benchmarks that README quotes; most modules are commands of their own."""
