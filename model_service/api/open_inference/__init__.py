"""The Open Inference Protocol v2: requests of KServe, MLServer and Triton clients, and the answers."""
