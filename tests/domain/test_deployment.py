"""Other software for a layer: done, refused, asked again, and back again when it goes wrong."""

import pytest

from domain.container import ContainerRedeployed
from domain.deployment import DeployApplication, RedeployLayer
from domain.environment import AddLayer, ChangeLayer, LayerSoftwareSet, LayerSpec, StopEnvironment
from domain.messages import Code, ContainerId, EnvironmentId, LayerName
from domain.migration import MigrateContainer
from domain.operation import (
    CancelOperation,
    OperationFinished,
    OperationRequested,
    RestartLayer,
    RollbackStarted,
    ScaleLayer,
    StepKind,
    StepStarted,
)
from domain.orders import OrderIssued, Redeploy, Start
from domain.software import Application, Software
from tests.examples import Scene, code, facts, given, hosts, one, refused, shop

OLD, NEW = Software("restow/counter:1"), Software("restow/counter:2")
GIT = "https://git.example.org/shop.git"
ZIP = "https://example.org/shop.zip"
V1, V2 = Application(vcs=GIT, ref="v1"), Application(vcs=GIT, ref="v2")


def redeploy(**how: object) -> RedeployLayer:
    ask = {"environment": "shop", "layer": "app", "delay_s": 0, "image": NEW.image, **how}
    return RedeployLayer(**ask)  # type: ignore[arg-type]


def deploy(**how: object) -> DeployApplication:
    ask = {"environment": "shop", "layer": "app", "delay_s": 0, **how}
    return DeployApplication(**ask)  # type: ignore[arg-type]


def software(scene: Scene) -> list[Software | None]:
    """Return what the containers run, in order, having looked that it is so."""
    scene.world.check_end()
    return [scene.container(name).software for name in scene.names()]


def spec(scene: Scene) -> Software:
    """Return what the layer's next containers will run."""
    return scene.fleet.layers[EnvironmentId("shop"), LayerName("app")].software


def redeployed(scene: Scene) -> list[str]:
    return [fact.container for fact in scene.happened(ContainerRedeployed)]


class TestRedeployLayer:
    def test_done_one_by_one_in_ascending_number(self) -> None:
        scene = given(hosts(3), shop(3), redeploy())

        assert redeployed(scene) == ["node1", "node2", "node3"]
        assert software(scene) == [NEW, NEW, NEW]
        assert scene.operation(2).outcome == "done"
        assert all(scene.container(name).operable for name in scene.names())

    def test_done_all_at_once(self) -> None:
        scene = given(hosts(3), shop(3))

        commit = scene.when(redeploy(mode="simultaneous"))

        orders = [f.work for f in facts(commit) if isinstance(f, OrderIssued)]
        assert orders == [Redeploy(NEW.image)] * 3
        assert software(scene.settle()) == [NEW, NEW, NEW]

    def test_volumes_variables_size_name_and_address_are_kept(self) -> None:
        how = {"volumes": ("/data",), "variables": {"DB": "sql"}, "reserved": 2, "limit": 8}
        before = given(hosts(3), shop(2, **how))
        after = given(hosts(3), shop(2, **how), redeploy())

        kept = ("name", "address", "host", "reserved", "limit", "allocated", "disk_gib")
        for name in before.names():
            old, new = before.container(name), after.container(name)
            assert [getattr(old, f) for f in kept] == [getattr(new, f) for f in kept]
        layers = [
            scene.fleet.layers[EnvironmentId("shop"), LayerName("app")].spec
            for scene in (before, after)
        ]
        assert [(layer.volumes, layer.variables) for layer in layers] == [
            (("/data",), {"DB": "sql"})
        ] * 2

    def test_containers_added_meanwhile_and_later_run_the_new_image(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(redeploy(delay_s=30))
        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))
        scene.settle()

        assert software(scene) == [NEW, NEW, NEW]

    def test_the_layer_changes_when_the_operation_begins_not_while_it_is_queued(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(redeploy(image="restow/counter:9", delay_s=30))
        scene.ask(redeploy())

        assert spec(scene).image == "restow/counter:9"
        scene.settle()
        assert spec(scene) == NEW
        assert software(scene) == [NEW, NEW]

    def test_asked_twice_it_queues_and_fetches_the_image_again(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(redeploy())

        commit = scene.when(redeploy())

        assert one(commit, OperationRequested).behind == "op2"
        assert redeployed(scene.settle()) == ["node1", "node2"] * 2
        assert len(scene.happened(LayerSoftwareSet)) == 1

    def test_with_surge_the_further_container_runs_the_new_image_and_goes_last(self) -> None:
        scene = given(hosts(3), shop(1), redeploy(surge=True))

        steps = [step for step in scene.happened(StepStarted) if step.operation == "op2"]
        assert [(step.container, step.kind) for step in steps] == [
            ("node2", StepKind.START),
            ("node1", StepKind.REDEPLOY),
            ("node2", StepKind.REMOVE),
        ]
        assert scene.world.machines.software[ContainerId("node2")] == NEW
        assert software(scene) == [NEW]

    @pytest.mark.parametrize(
        ("ask", "expected"),
        [
            (redeploy(environment="x"), Code.ENVIRONMENT_NOT_FOUND),
            (redeploy(layer="x"), Code.LAYER_NOT_FOUND),
            (redeploy(), Code.AVAILABILITY_WOULD_BREAK),
        ],
    )
    def test_refused(self, ask: RedeployLayer, expected: Code) -> None:
        assert code(given(hosts(1), shop(1)).when(ask)) is expected

    def test_refused_where_another_operation_is_at_work_and_it_is_not_to_queue(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(RestartLayer(environment="shop", layer="app"))

        assert code(scene.when(redeploy(queue=False))) is Code.OPERATION_BUSY

    def test_refused_with_surge_where_there_is_no_room_for_it(self) -> None:
        scene = given(hosts(1, cloudlets=2), shop(2))

        assert code(scene.when(redeploy(surge=True))) is Code.CAPACITY_INSUFFICIENT

    def test_a_container_that_is_down_is_started_from_the_new_image(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.crash(ContainerId("node1"))
        scene.settle()

        scene.ask(redeploy())

        assert software(scene.settle()) == [NEW, NEW]
        assert redeployed(scene) == ["node2"]

    def test_a_restart_brings_back_what_a_container_ran_not_what_the_layer_has(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node1", Redeploy)
        scene.ask(redeploy())
        scene.settle()
        scene.world.machines.crash(ContainerId("node1"))
        scene.settle()

        scene.ask(RestartLayer(environment="shop", layer="app", delay_s=0))

        assert software(scene.settle()) == [OLD, OLD]

    def test_a_container_that_moved_meanwhile_is_redeployed_where_it_is(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(MigrateContainer(container="node2"))

        scene.ask(redeploy())

        assert software(scene.settle()) == [NEW, NEW]


class TestARedeployThatFails:
    def test_stop_leaves_the_old_container_running_and_the_rest_alone(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node2", Redeploy)

        scene.ask(redeploy())

        assert software(scene.settle()) == [NEW, OLD, OLD]
        assert scene.operation(2).outcome == "failed"
        assert scene.operation(2).detail == "redeploy failed: bad luck"
        assert all(scene.container(name).operable for name in scene.names())
        assert spec(scene) == NEW

    def test_continue_goes_on(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node2", Redeploy)

        scene.ask(redeploy(on_failure="continue"))

        assert software(scene.settle()) == [NEW, OLD, NEW]

    def test_rollback_puts_the_old_image_back_newest_first(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node3", Redeploy)

        scene.ask(redeploy(on_failure="rollback"))

        assert software(scene.settle()) == [OLD, OLD, OLD]
        assert spec(scene) == OLD
        (back,) = scene.happened(RollbackStarted)
        assert [planned.container for planned in back.plan] == ["node2", "node1"]
        assert scene.happened(OperationFinished)[-1].outcome == "rolled_back"
        assert all(scene.container(name).operable for name in scene.names())

    def test_one_that_is_down_after_it_is_started_again_as_it_was(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node2", Redeploy)
        scene.world.machines.fatal.add("node2")

        scene.ask(redeploy())

        assert software(scene.settle()) == [NEW, OLD]
        assert scene.operation(2).detail == "redeploy failed: bad luck"
        assert all(scene.container(name).operable for name in scene.names())

    def test_one_that_cannot_be_started_again_either_stays_down(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node2", Redeploy).fail("node2", Start)
        scene.world.machines.fatal.add("node2")

        scene.ask(redeploy())

        assert not scene.settle().container("node2").running
        assert scene.operation(2).detail == "redeploy failed: bad luck"

    def test_rollback_all_at_once(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node2", Redeploy)

        scene.ask(redeploy(on_failure="rollback", mode="simultaneous"))

        assert software(scene.settle()) == [OLD, OLD, OLD]

    def test_rollback_gives_each_container_what_it_ran_itself(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node2", Redeploy)
        scene.ask(redeploy())
        scene.settle()
        scene.fail("node3", Redeploy)

        scene.ask(redeploy(image="restow/counter:3", on_failure="rollback"))

        assert software(scene.settle()) == [NEW, OLD, OLD]
        assert spec(scene) == NEW

    def test_one_that_does_not_become_healthy_is_put_back_as_it_was(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.sick.add("node1")

        scene.ask(redeploy())
        while len(redeployed(scene)) < 2:
            scene.pass_(1_000)
            if redeployed(scene) == ["node1"] and scene.container("node1").software == NEW:
                scene.pass_(60_000)
                scene.world.machines.sick.clear()
        scene.settle()

        assert redeployed(scene) == ["node1", "node1"]
        assert software(scene) == [OLD, OLD]
        assert scene.operation(2).detail == "not healthy within 120 s"
        assert scene.container("node1").operable

    def test_one_whose_old_container_is_sick_too_stays_out_of_dns(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.sick.add("node1")

        scene.ask(redeploy(on_failure="rollback"))

        assert software(scene.settle()) == [OLD, OLD]
        assert not scene.container("node1").routed
        assert scene.operation(2).outcome == "rolled_back"

    def test_one_whose_host_does_not_answer_is_taken_back_when_it_can_be(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.world.machines.deaf.add("node2")
        scene.ask(redeploy(on_failure="rollback", remove_from_dns=False))
        while not scene.happened(RollbackStarted):
            scene.pass_(1_000)
        scene.world.machines.deaf.clear()

        (back,) = scene.happened(RollbackStarted)
        assert [planned.container for planned in back.plan] == ["node2", "node1"]
        assert software(scene.settle()) == [OLD, OLD]
        assert spec(scene) == OLD

    def test_cancelled_it_leaves_what_was_done(self) -> None:
        scene = given(hosts(3), shop(2))
        scene.ask(redeploy())
        scene.pass_(100)
        scene.ask(CancelOperation(operation="op2"))

        assert software(scene.settle()) == [NEW, OLD]

    def test_a_surge_container_that_does_not_start_changes_nothing(self) -> None:
        scene = given(hosts(3), shop(2)).fail("node3", Start)

        scene.ask(redeploy(surge=True, on_failure="rollback"))

        assert software(scene.settle()) == [OLD, OLD]
        assert spec(scene) == OLD
        assert scene.names() == ("node1", "node2")


class TestDeployApplication:
    def test_done_from_a_repository_with_the_image_kept(self) -> None:
        scene = given(hosts(3), shop(2), deploy(vcs=GIT, ref="v1"))

        assert software(scene) == [Software(OLD.image, V1)] * 2
        assert scene.operation(2).kind == "deploy"

    def test_done_from_an_archive_all_at_once(self) -> None:
        digest = "0" * 64
        ask = deploy(archive=ZIP, sha256=digest, mode="simultaneous")
        scene = given(hosts(3), shop(2), ask)

        application = Application(archive=ZIP, sha256=digest)
        assert software(scene) == [Software(OLD.image, application)] * 2

    def test_a_redeploy_keeps_the_application_and_new_containers_have_it(self) -> None:
        scene = given(hosts(3), shop(2), deploy(vcs=GIT, ref="v1"), redeploy())
        scene.ask(ScaleLayer(environment="shop", layer="app", by=1))

        assert software(scene.settle()) == [Software(NEW.image, V1)] * 3

    def test_a_changed_layer_keeps_its_application(self) -> None:
        scene = given(hosts(3), shop(2), deploy(vcs=GIT, ref="v1"))
        scene.ask(ChangeLayer(environment="shop", layer="app", policy="pack"))

        assert spec(scene).application == V1

    def test_asked_twice_it_deploys_again_for_a_branch_may_have_moved(self) -> None:
        scene = given(hosts(3), shop(2), deploy(vcs=GIT, ref="main"), deploy(vcs=GIT, ref="main"))

        assert redeployed(scene) == ["node1", "node2"] * 2

    def test_rollback_goes_back_to_the_previous_application(self) -> None:
        scene = given(hosts(3), shop(3), deploy(vcs=GIT, ref="v1")).fail("node3", Redeploy)

        scene.ask(deploy(vcs=GIT, ref="v2", on_failure="rollback"))

        assert software(scene.settle()) == [Software(OLD.image, V1)] * 3
        assert spec(scene).application == V1

    def test_rollback_of_the_first_application_goes_back_to_none(self) -> None:
        scene = given(hosts(3), shop(3)).fail("node3", Redeploy)

        scene.ask(deploy(vcs=GIT, on_failure="rollback"))

        assert software(scene.settle()) == [OLD, OLD, OLD]

    @pytest.mark.parametrize(
        ("ask", "path"),
        [
            (deploy(), "$.archive"),
            (deploy(archive=ZIP, vcs=GIT), "$.archive"),
            (deploy(vcs=GIT, sha256="0" * 64), "$.sha256"),
            (deploy(archive=ZIP, ref="v1"), "$.ref"),
        ],
    )
    def test_refused_where_it_is_not_clear_what_is_meant(
        self, ask: DeployApplication, path: str
    ) -> None:
        refusal = refused(given(hosts(2), shop(2)).when(ask))

        assert (refusal.code, refusal.path) == (Code.REQUEST_INVALID, path)

    def test_refused_in_a_stopped_environment_with_the_way_on(self) -> None:
        scene = given(hosts(2), shop(2), StopEnvironment(environment="shop"))

        for ask in (deploy(vcs=GIT), redeploy(), redeploy(surge=True)):
            refusal = refused(scene.when(ask))
            assert refusal.code is Code.ENVIRONMENT_STOPPED
            assert "restow env start shop" in refusal.detail

    def test_another_layer_is_left_alone(self) -> None:
        other = AddLayer(environment="shop", layer=LayerSpec(name="sql"))
        scene = given(hosts(3), shop(2), other, deploy(vcs=GIT, ref="v2"))

        assert scene.container("node3").software == OLD
        assert software(scene) == [Software(OLD.image, V2)] * 2
