"""Simulated T2 and iUS pairs with known truth (simulated data, research use only)."""

from core.simulator.case import Phantom, simulate_case
from core.simulator.cohort import write_cohort
from core.simulator.from_t2 import simulate_from_t2
from core.simulator.template import PhantomError
from core.simulator.tissues import Tissue

__all__ = ["Phantom", "PhantomError", "Tissue", "simulate_case", "simulate_from_t2", "write_cohort"]
