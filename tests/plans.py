"""A plan as tests need it: facts that would be written, and a forecast with nothing in it."""

from domain.host import CordonHost
from domain.messages import Event
from domain.plan import Forecast, Plan

NOTHING = Forecast(
    duration_ms=0, whole=True, endings=(), time=(), steps=(), moves=(), hosts=(), dns=()
)
NAME = f"17-{'0f' * 16}"


def plan_of(*facts: Event, forecast: Forecast = NOTHING) -> Plan:
    return Plan(NAME, facts, forecast, CordonHost(host="n", expect_plan=NAME))
