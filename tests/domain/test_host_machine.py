"""Whatever is asked of hosts, in whatever order, none promises more than it has."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from domain.container import Container
from domain.decider import Ask
from domain.environment import CreateEnvironment, RemoveEnvironment
from domain.host import CordonHost, HostState, RemoveHost, UncordonHost
from domain.invariants import broken
from domain.messages import Accepted, AskId, Command, HostId, Refusal
from domain.migration import MigrateContainer
from domain.operation import ScaleNode
from domain.orders import MigrateOut, Order, ReportOrder, Start, Stop
from domain.region import Region
from restow.simulation.world import START
from tests.domain.fleets import POLICIES
from tests.examples import host, layer

HOSTS = st.sampled_from(["h1", "h2", "h3", "h4"])


class Capacity(RuleBasedStateMachine):
    """Hosts come and go; containers are placed, grow, shrink, move and leave."""

    environments = Bundle("environments")

    def __init__(self) -> None:
        super().__init__()
        self.region = Region()
        self.asked = 0
        self.forced = False

    def ask(self, command: Command) -> bool:
        """Ask; say whether it was accepted."""
        self.asked += 1
        commit = self.region.decide(Ask(AskId(f"a{self.asked}"), command), START)
        return isinstance(commit.answer, Accepted)

    def some(self, dice: int) -> Container | None:
        members = sorted(self.region.fleet.containers.values(), key=lambda one: one.number)
        return members[dice % len(members)] if members else None

    @rule(name=HOSTS, zone=st.sampled_from("ab"), cloudlets=st.integers(1, 16))
    def register(self, name: str, zone: str, cloudlets: int) -> None:
        self.ask(host(name, zone, cloudlets, disk_gib=20))

    @rule(name=HOSTS)
    def remove(self, name: str) -> None:
        before = self.region.fleet.hosts.get(HostId(name))
        if self.ask(RemoveHost(host=name)):
            assert before is not None
            assert before.used == before.used_disk == before.containers == before.arriving == 0

    @rule(name=HOSTS)
    def cordon(self, name: str) -> None:
        self.ask(CordonHost(host=name))

    @rule(name=HOSTS)
    def uncordon(self, name: str) -> None:
        self.ask(UncordonHost(host=name))

    @rule(
        target=environments,
        count=st.integers(1, 4),
        reserved=st.integers(1, 5),
        policy=st.sampled_from(POLICIES),
        affinity=st.sampled_from(["soft", "hard"]),
    )
    def create(self, count: int, reserved: int, policy: str, affinity: str) -> str:
        name = f"e{self.asked}"
        spec = layer(
            count=count, reserved=reserved, disk_gib=3, policy=policy, anti_affinity=affinity
        )
        open_ = [h for h in self.region.fleet.hosts.values() if h.state is HostState.ACTIVE]
        roomy = sum(min(h.free // reserved, h.free_disk // 3) for h in open_ if h.free > 0)
        done = self.ask(CreateEnvironment(environment=name, layers=(spec,)))
        if affinity == "soft":
            assert done == (roomy >= count)
        return name

    @rule(name=environments)
    def drop(self, name: str) -> None:
        self.ask(RemoveEnvironment(environment=name))

    @rule(dice=st.integers(0, 30), reserved=st.integers(1, 9), force=st.booleans())
    def scale(self, dice: int, reserved: int, *, force: bool) -> None:
        one = self.some(dice)
        if one is not None:
            self.forced = self.forced or force
            self.ask(ScaleNode(container=one.id, reserved=reserved, limit=reserved, force=force))

    @rule(dice=st.integers(0, 30), name=st.none() | HOSTS)
    def migrate(self, dice: int, name: str | None) -> None:
        one = self.some(dice)
        if one is not None:
            self.ask(MigrateContainer(container=one.id, target=name))

    @rule(dice=st.integers(0, 30), done=st.booleans())
    def answer(self, dice: int, *, done: bool) -> None:
        """Let a host answer one of the orders that it owes an answer to."""
        orders = sorted(self.region.fleet.orders.values(), key=lambda one: int(one.id[2:]))
        if orders:
            self.report(orders[dice % len(orders)], done=done)

    @rule()
    def answer_everything(self) -> None:
        for order in list(self.region.fleet.orders.values()):
            self.report(order, done=True)

    def report(self, order: Order, *, done: bool) -> None:
        located = order.to
        if isinstance(order.work, MigrateOut) and done:
            located = order.work.target
        if isinstance(order.work, Start | Stop):
            done = True
        report = ReportOrder(
            ask=AskId(f"{order.id}/r"), host=order.to, order=order.id, done=done, located=located
        )
        self.ask(report)

    @invariant()
    def nothing_is_broken(self) -> None:
        assert broken(self.region.fleet) == ()

    @invariant()
    def no_host_promises_more_than_it_has(self) -> None:
        for one in self.region.fleet.hosts.values():
            assert one.free_disk >= 0
            assert one.free >= 0 or self.forced

    @invariant()
    def a_refusal_is_remembered_as_an_answer(self) -> None:
        for ask, known in self.region.answers.commands():
            assert ask
            assert not isinstance(known.answer, Refusal) or known.answer.detail


Capacity.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCapacity = Capacity.TestCase
