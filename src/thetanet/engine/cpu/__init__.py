"""The processor engine."""

from thetanet.engine.cpu.engine import CPUEngine, available_threads

__all__ = ["CPUEngine", "available_threads"]
