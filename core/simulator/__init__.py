"""Simulated T2 and iUS pairs with known truth (simulated data, research use only)."""

from core.phantom.case import Phantom, simulate_case
from core.phantom.cohort import write_cohort
from core.phantom.from_t2 import simulate_from_t2
from core.phantom.template import PhantomError
from core.phantom.tissues import Tissue

__all__ = ["Phantom", "PhantomError", "Tissue", "simulate_case", "simulate_from_t2", "write_cohort"]
