"""Simulated T2 and iUS pairs with known truth (simulated data, research use only)."""

from core.simulator.case import SimulatedCase, simulate_case
from core.simulator.cohort import write_cohort
from core.simulator.from_t2 import simulate_from_t2
from core.simulator.template import SimulatorError
from core.simulator.tissues import Tissue

__all__ = [
    "SimulatedCase",
    "SimulatorError",
    "Tissue",
    "probe",
    "simulate_case",
    "simulate_from_t2",
    "write_cohort",
]
