"""Decisions to give a layer other software: another image, or another application.

The layer's own description follows when the operation begins, so that containers added meanwhile
run the same; a rollback puts it back, with every container that was changed.
"""

from msgspec.structs import replace

from domain.decider import Outcome
from domain.fleet import Fleet
from domain.layers import find_started
from domain.messages import Code, Refusal
from domain.operation import Planned, SequencedCommand, StepKind
from domain.scaling import begin, sequenced, settings_of
from domain.software import (
    Application,
    ArchiveUrl,
    Digest,
    ImageName,
    Ref,
    RepositoryUrl,
    Software,
)


class RedeployLayer(SequencedCommand, frozen=True, kw_only=True, tag="layer.redeploy"):
    """Replace all containers of a layer by ones of another image, one by one or all at once.

    Volumes, links, variables, size, name, address and application are kept. One that fails, or
    does not become healthy, is put back as it was; `on_failure=rollback` puts back the others too.
    """

    image: ImageName


class DeployApplication(SequencedCommand, frozen=True, kw_only=True, tag="layer.deploy"):
    """Deploy an application into all containers of a layer, one by one or all at once.

    It comes from `archive` (checked against `sha256` if that is given), or from the repository
    `vcs` at `ref`: a branch, a tag or a commit. Image, volumes, links and variables are kept.
    """

    archive: ArchiveUrl | None = None
    sha256: Digest | None = None
    vcs: RepositoryUrl | None = None
    ref: Ref | None = None


Deploying = RedeployLayer | DeployApplication


def one_source(ask: DeployApplication) -> Refusal | None:
    """Exactly one of `archive` and `vcs`, and to each only what belongs to it."""
    if (ask.archive is None) == (ask.vcs is None):
        given = "neither was" if ask.archive is None else "both were"
        detail = f"give exactly one of archive and vcs; {given} given"
        return Refusal(Code.REQUEST_INVALID, detail, "$.archive")
    if ask.sha256 is not None and ask.archive is None:
        detail = "sha256 is that of an archive; name a commit as ref instead"
        return Refusal(Code.REQUEST_INVALID, detail, "$.sha256")
    if ask.ref is not None and ask.vcs is None:
        detail = "ref belongs to a repository; give vcs with it, or leave it out"
        return Refusal(Code.REQUEST_INVALID, detail, "$.ref")
    return None


def redeploy_layer(fleet: Fleet, ask: RedeployLayer) -> Outcome:
    """Redeploy every container, in ascending number; the same image again is fetched again."""
    return deploy(fleet, ask, StepKind.REDEPLOY, Software(ask.image))


def deploy_application(fleet: Fleet, ask: DeployApplication) -> Outcome:
    """Deploy into every container, in ascending number; a branch may have moved meanwhile."""
    wrong = one_source(ask)
    if wrong is not None:
        return wrong
    told = (ask.archive, ask.sha256, ask.vcs, ask.ref)
    application = Application(*(word or "" for word in told))
    return deploy(fleet, ask, StepKind.DEPLOY, Software("", application))


def deploy(fleet: Fleet, ask: Deploying, kind: StepKind, what: Software) -> Outcome:
    """Begin the operation that brings the software to every container of the layer."""
    layer = find_started(fleet, ask.environment, ask.layer)
    if isinstance(layer, Refusal):
        return layer
    steps = tuple(Planned(name, kind) for name in layer.containers)
    meant = replace(begin(ask, kind.value, steps, settings_of(ask)), software=what)
    return sequenced(fleet, layer, ask, meant)
