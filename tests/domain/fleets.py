"""Random fleets, made by asking a region for them, so that they are fleets that can be."""

from hypothesis import strategies as st

from domain.decider import Ask
from domain.environment import AddLayer, CreateEnvironment, LayerSpec
from domain.host import CordonHost, RateHost, RemoveHost
from domain.messages import AskId, Command, Refusal
from domain.migration import MigrateContainer
from domain.operation import ScaleLayer, ScaleNode
from domain.orders import ReportHealth, ReportOrder, Start
from domain.region import Region
from restow.simulation.world import START
from tests.examples import host

HOSTS = tuple(f"h{n}" for n in range(1, 8))
LAYERS = ("app", "sql", "web")
POLICIES = ("spread", "pack", "virtuozzo-loadmark")


def specs(name: str) -> st.SearchStrategy[LayerSpec]:
    return st.builds(
        LayerSpec,
        name=st.just(name),
        count=st.integers(1, 4),
        reserved=st.integers(1, 4),
        disk_gib=st.integers(0, 6),
        anti_affinity=st.sampled_from(["soft", "soft", "hard"]),
        groups=st.sampled_from([(), (), ("near",), ("far",), ("near", "far")]),
        policy=st.sampled_from(POLICIES),
    )


registering = st.builds(
    host,
    st.sampled_from(HOSTS),
    zone=st.sampled_from("abc"),
    cloudlets=st.integers(1, 20),
    disk_gib=st.integers(0, 30),
)
names = st.sampled_from([f"node{n}" for n in range(1, 12)])
asking: st.SearchStrategy[Command] = st.one_of(
    registering,
    registering,
    st.builds(CordonHost, host=st.sampled_from(HOSTS)),
    st.builds(RateHost, host=st.sampled_from(HOSTS), load_mark=st.integers(0, 100)),
    st.builds(RemoveHost, host=st.sampled_from(HOSTS)),
    st.builds(
        CreateEnvironment,
        environment=st.sampled_from(["shop", "blog"]),
        layers=st.tuples(specs("app")) | st.tuples(specs("app"), specs("sql")),
        groups=st.just({"near": "soft", "far": "hard"}),
    ),
    st.builds(AddLayer, environment=st.sampled_from(["shop", "blog"]), layer=specs("web")),
    st.builds(
        ScaleLayer,
        environment=st.sampled_from(["shop", "blog"]),
        layer=st.sampled_from(LAYERS),
        by=st.integers(1, 3),
    ),
    st.builds(ScaleNode, container=names, reserved=st.integers(1, 6)),
    st.builds(
        MigrateContainer,
        container=names,
        target=st.none() | st.sampled_from(HOSTS),
        queue=st.just(False),  # noqa: FBT003 - a value, not a switch
    ),
)
histories = st.lists(asking, min_size=4, max_size=25)


class Quick:
    """A region in which whatever is to start has started at once, and is healthy."""

    def __init__(self) -> None:
        self.region = Region()
        self._asked = 0

    def ask(self, command: Command) -> bool:
        """Ask; say whether it was not refused."""
        self._asked += 1
        commit = self.region.decide(Ask(AskId(f"a{self._asked}"), command), START)
        return not isinstance(commit.answer, Refusal)

    def live(self, history: list[Command]) -> "Quick":
        for command in history:
            self.ask(command)
            self.start()
        return self

    def start(self) -> None:
        for order in list(self.region.fleet.orders.values()):
            name = AskId(f"{order.id}/r")
            if isinstance(order.work, Start):
                self.ask(ReportOrder(ask=name, host=order.to, order=order.id, done=True))
                self.ask(
                    ReportHealth(ask=name, host=order.to, container=order.container, healthy=True)
                )
