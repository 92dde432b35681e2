"""Environments and layers: each command done, refused, asked again."""

from domain.container import ContainerPlaced, ContainerRemoved
from domain.environment import (
    AddLayer,
    ChangeLayer,
    CreateEnvironment,
    EnvironmentCreated,
    EnvironmentLeaving,
    EnvironmentRemoved,
    LayerAdded,
    LayerChanged,
    LayerLeaving,
    LayerRemoved,
    RemoveEnvironment,
    RemoveLayer,
)
from domain.messages import Code, EnvironmentId, LayerName
from domain.operation import OperationStarted, RestartLayer, ScaleLayer
from domain.orders import Start, Stop
from tests.examples import (
    accepted,
    code,
    facts,
    given,
    hosts,
    kinds,
    layer,
    one,
    refused,
    shop,
    unchanged,
)

SHOP = EnvironmentId("shop")
APP = LayerName("app")


class TestCreateEnvironment:
    def test_done(self) -> None:
        scene = given(hosts(3))

        commit = scene.when(shop(2))

        assert facts(commit)[:2] == [
            EnvironmentCreated(SHOP, "restow.internal", network=1),
            LayerAdded(SHOP, APP, layer(count=2)),
        ]
        assert accepted(commit).operations == ("op1",)
        scene.settle()
        assert all(scene.container(name).operable for name in scene.names())

    def test_every_layer_has_an_operation_of_its_own(self) -> None:
        layers = (layer("app"), layer("sql", count=2))

        commit = given(hosts(3)).when(CreateEnvironment(environment="shop", layers=layers))

        assert accepted(commit).operations == ("op1", "op2")
        assert accepted(commit).operation == "op1"

    def test_containers_are_numbered_and_named(self) -> None:
        ask = CreateEnvironment(
            environment="shop", domain="example.org", layers=(layer(count=1), layer("sql", count=2))
        )

        commit = given(hosts(3)).when(ask)

        placed = [fact for fact in facts(commit) if isinstance(fact, ContainerPlaced)]
        assert [(p.name, p.layer, p.number, p.address) for p in placed] == [
            ("node1-shop.example.org", "app", 1, "10.0.0.1"),
            ("node2-shop.example.org", "sql", 1, "10.0.0.2"),
            ("node3-shop.example.org", "sql", 2, "10.0.0.3"),
        ]

    def test_refused_where_one_container_has_no_room_and_nothing_is_created(self) -> None:
        scene = given(hosts(2, cloudlets=4))
        layers = (layer("app", count=2, reserved=3), layer("sql", reserved=2))

        refusal = refused(scene.when(CreateEnvironment(environment="shop", layers=layers)))

        assert refusal.code is Code.CAPACITY_INSUFFICIENT
        assert refusal.facts == {
            "hosts": 2,
            "objections": {"too few cloudlets": 2},
            "largest_free_cloudlets": 1,
        }
        assert not scene.fleet.environments
        assert [host.used for host in scene.fleet.hosts.values()] == [0, 0]

    def test_refused_where_there_are_no_hosts(self) -> None:
        assert "there are no hosts" in refused(given().when(shop(1))).detail

    def test_refused_when_it_exists(self) -> None:
        assert code(given(hosts(1), shop(1)).when(shop(1))) is Code.ENVIRONMENT_EXISTS

    def test_refused_with_two_layers_of_one_name(self) -> None:
        ask = CreateEnvironment(environment="shop", layers=(layer(), layer()))

        assert code(given(hosts(1)).when(ask)) is Code.LAYER_EXISTS

    def test_refused_with_a_limit_below_what_is_reserved(self) -> None:
        refusal = refused(given(hosts(1)).when(shop(1, reserved=3, limit=2)))

        assert refusal.code is Code.LIMITS_OUT_OF_RANGE
        assert (refusal.path, refusal.facts) == ("$.layers.limit", {"reserved": 3, "limit": 2})

    def test_refused_with_a_group_that_it_does_not_have(self) -> None:
        refusal = refused(given(hosts(1)).when(shop(1, groups=("db",))))

        assert refusal.code is Code.REQUEST_INVALID
        assert "it has none" in refusal.detail

    def test_a_link_to_localhost_is_pointed_out(self) -> None:
        commit = given(hosts(1)).when(shop(1, variables={"DB": "tcp://127.0.0.1:5432"}))

        (notice,) = accepted(commit).notices
        assert "variable DB points at 127.0.0.1" in notice

    def test_a_container_that_does_not_start_leaves_the_others_alone(self) -> None:
        scene = given(hosts(3)).fail("node2", Start)

        scene.ask(shop(3))
        scene.settle()

        operation = scene.operation(1)
        assert (operation.outcome, operation.detail) == ("failed", "start failed: bad luck")
        assert [scene.container(name).operable for name in scene.names()] == [True, False, True]


class TestAddLayer:
    def test_done(self) -> None:
        scene = given(hosts(2), shop(1))

        commit = scene.when(AddLayer(environment="shop", layer=layer("sql", count=2)))

        assert facts(commit)[0] == LayerAdded(SHOP, LayerName("sql"), layer("sql", count=2))
        scene.settle()
        assert [scene.container(name).operable for name in scene.names("sql")] == [True, True]

    def test_refused_when_it_has_such_a_layer(self) -> None:
        add = AddLayer(environment="shop", layer=layer())

        assert code(given(hosts(1), shop(1)).when(add)) is Code.LAYER_EXISTS

    def test_refused_where_there_is_no_such_environment(self) -> None:
        add = AddLayer(environment="shop", layer=layer())

        assert code(given(hosts(1)).when(add)) is Code.ENVIRONMENT_NOT_FOUND

    def test_refused_with_what_is_wrong_in_itself(self) -> None:
        add = AddLayer(environment="shop", layer=layer("sql", reserved=2, limit=1))

        assert refused(given(hosts(1), shop(1)).when(add)).path == "$.layer.limit"

    def test_refused_where_one_container_has_no_room(self) -> None:
        scene = given(hosts(1, cloudlets=4), shop(1))
        add = AddLayer(environment="shop", layer=layer("sql", count=4))

        assert code(scene.when(add)) is Code.CAPACITY_INSUFFICIENT
        assert not scene.names("app")[1:]


class TestChangeLayer:
    def test_done(self) -> None:
        scene = given(hosts(1), shop(1))

        commit = scene.when(
            ChangeLayer(environment="shop", layer="app", policy="pack", variables={"A": "b"})
        )

        assert one(commit, LayerChanged).spec == layer(policy="pack", variables={"A": "b"})

    def test_a_link_to_localhost_is_pointed_out(self) -> None:
        change = ChangeLayer(environment="shop", layer="app", variables={"DB": "localhost"})

        assert accepted(given(hosts(1), shop(1)).when(change)).notices

    def test_refused_where_there_is_no_such_layer(self) -> None:
        change = ChangeLayer(environment="shop", layer="sql", policy="pack")

        refusal = refused(given(hosts(1), shop(1)).when(change))

        assert refusal.code is Code.LAYER_NOT_FOUND
        assert refusal.facts == {"layers": ["app"]}

    def test_unchanged_when_it_is_so_already(self) -> None:
        change = ChangeLayer(environment="shop", layer="app", policy="spread", ports=())

        assert unchanged(given(hosts(1), shop(1)).when(change))


class TestRemoveLayer:
    def test_done(self) -> None:
        layers = (layer(count=2), layer("sql"))
        scene = given(hosts(2), CreateEnvironment(environment="shop", layers=layers))

        commit = scene.when(RemoveLayer(environment="shop", layer="app"))

        assert facts(commit)[0] == LayerLeaving(SHOP, APP)
        scene.settle()
        assert scene.happened(LayerRemoved) == [LayerRemoved(SHOP, APP)]
        assert list(scene.fleet.containers) == ["node3"]
        assert scene.fleet.environments[SHOP].layers == ("sql",)

    def test_refused_where_there_is_no_such_layer(self) -> None:
        remove = RemoveLayer(environment="shop", layer="sql")

        assert code(given(hosts(1), shop(1)).when(remove)) is Code.LAYER_NOT_FOUND

    def test_unchanged_while_it_is_being_removed(self) -> None:
        scene = given(hosts(1), shop(1))
        remove = RemoveLayer(environment="shop", layer="app")
        scene.ask(remove)

        assert unchanged(scene.when(remove))

    def test_nothing_new_begins_in_it(self) -> None:
        scene = given(hosts(1), shop(1))
        scene.ask(RemoveLayer(environment="shop", layer="app"))

        restart = RestartLayer(environment="shop", layer="app")
        assert code(scene.when(restart)) is Code.ENVIRONMENT_LEAVING

    def test_asked_again_it_removes_what_is_left(self) -> None:
        remove = RemoveLayer(environment="shop", layer="app")
        scene = given(hosts(3), shop(4)).fail("node2", Stop)
        scene.ask(remove)
        scene.settle()
        assert scene.names() == ("node2",)

        commit = scene.when(remove)
        scene.settle()

        assert OperationStarted.__name__ in kinds(commit)
        assert not scene.fleet.containers
        assert not scene.fleet.layers


class TestRemoveEnvironment:
    def test_done(self) -> None:
        layers = (layer(count=2), layer("sql"))
        scene = given(hosts(2), CreateEnvironment(environment="shop", layers=layers))

        commit = scene.when(RemoveEnvironment(environment="shop"))

        assert facts(commit)[:3] == [
            EnvironmentLeaving(SHOP),
            LayerLeaving(SHOP, APP),
            LayerLeaving(SHOP, LayerName("sql")),
        ]
        assert len(accepted(commit).operations) == 2
        scene.settle()
        assert len(scene.happened(ContainerRemoved)) == 3
        assert scene.happened(EnvironmentRemoved) == [EnvironmentRemoved(SHOP)]
        assert not scene.fleet.environments
        assert not scene.fleet.layers
        assert [host.used for host in scene.fleet.hosts.values()] == [0, 0]

    def test_an_environment_without_layers_goes_at_once(self) -> None:
        scene = given(hosts(1), shop(1), RemoveLayer(environment="shop", layer="app"))

        commit = scene.when(RemoveEnvironment(environment="shop"))

        assert facts(commit) == [EnvironmentLeaving(SHOP), EnvironmentRemoved(SHOP)]

    def test_refused_where_there_is_none(self) -> None:
        remove = RemoveEnvironment(environment="shop")

        assert code(given().when(remove)) is Code.ENVIRONMENT_NOT_FOUND

    def test_unchanged_while_it_is_being_removed(self) -> None:
        scene = given(hosts(1), shop(1))
        remove = RemoveEnvironment(environment="shop")
        scene.ask(remove)

        assert unchanged(scene.when(remove))

    def test_nothing_new_begins_in_it(self) -> None:
        scene = given(hosts(1), shop(1))
        scene.ask(RemoveEnvironment(environment="shop"))

        add = AddLayer(environment="shop", layer=layer("sql"))
        assert code(scene.when(add)) is Code.ENVIRONMENT_LEAVING
        scale = ScaleLayer(environment="shop", layer="app", by=1)
        assert code(scene.when(scale)) is Code.ENVIRONMENT_LEAVING

    def test_a_layer_that_is_leaving_already_is_not_removed_twice(self) -> None:
        layers = (layer(count=2), layer("sql"))
        scene = given(hosts(2), CreateEnvironment(environment="shop", layers=layers))
        scene.ask(RemoveLayer(environment="shop", layer="app"))

        commit = scene.when(RemoveEnvironment(environment="shop"))

        assert [fact for fact in facts(commit) if isinstance(fact, LayerLeaving)] == [
            LayerLeaving(SHOP, LayerName("sql"))
        ]
        scene.settle()
        assert not scene.fleet.environments

    def test_it_waits_for_the_operation_under_way(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))

        scene.ask(RemoveEnvironment(environment="shop"))
        scene.settle()

        outcomes = {one.kind: one.outcome for one in scene.fleet.operations.values()}
        assert outcomes == {"start": "done", "restart": "done", "remove": "done"}
        assert not scene.fleet.environments

    def test_asked_again_it_removes_what_is_left(self) -> None:
        remove = RemoveEnvironment(environment="shop")
        scene = given(hosts(3), shop(4)).fail("node2", Stop)
        scene.ask(remove)
        scene.settle()
        assert scene.names() == ("node2",)

        scene.when(remove)
        scene.settle()

        assert not scene.fleet.environments
