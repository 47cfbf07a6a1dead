"""The study's project on a server: found, entered, made where there is none yet.

A login that may not see a project is told so. It never counts as deleted: a second project
would strand the work in the first. A study goes to another project on request alone.
"""

from __future__ import annotations

from annotator.core.errors import CvatError, CvatForbidden, CvatMissing, UsageError
from annotator.study.cvat import Binding
from annotator.study.cvat_project import KnownProject
from annotator.study.study import Study
from export.cvat.client.from_shapes import ServerLabels
from export.cvat.client.labels import LabelIds, LabelMatch, labels_of, match_labels
from export.cvat.client.server import CvatProject, CvatServer


def bound_project(study: Study, server: CvatServer, notes: list[str]) -> CvatProject | None:
    """The project that a study was sent to, as the server has it; all is asked in its organisation.

    Parameters
    ----------
    study : Study
    server : CvatServer
        Asks in the organisation of the project from now on.
    notes : list of str
        What a person should know is appended.

    Returns
    -------
    CvatProject or None
        None for a study that was never sent.

    Raises
    ------
    UsageError
        When the study was sent to another server.
    CvatForbidden
        When this login may not see the project: who is logged in, who made it, what to do.
    CvatMissing
        When it was deleted on the server.
    """
    bound = study.cvat.binding()
    if bound is None:
        return None
    study.cvat.check_server(server.info.url)
    # Its number tells which it is. An organisation that study.toml names and that is not there
    # would let it look deleted.
    server.use_organization("")
    try:
        project = server.project(bound.project_id)
    except CvatForbidden as error:
        raise CvatForbidden(no_access(study, server, bound)) from error
    except CvatMissing as error:
        raise CvatMissing(
            f"project {bound.project_id} ({bound.project_name!r}), to which this study was sent, "
            f"is no longer at {bound.url}; trephine push {study.path} makes a new one "
            f"({error})"
        ) from error
    enter_organization(study, server, project, notes)
    return project


def no_access(study: Study, server: CvatServer, bound: Binding) -> str:
    """Say who is logged in, who made the project, and what can be done."""
    user, made_by = server.info.user, study.cvat.projects.known(bound.project_id).made_by
    maker = f"{made_by!r} made it" if made_by else "the study did not note who made it"
    other = f"as {made_by!r}" if made_by else "as the user who pushed it"
    inside = server.info.organization
    where = f" in the organisation {inside!r}" if inside else ""
    return (
        f"{bound.url}: logged in as {user!r}, who may not see project {bound.project_id} "
        f"({bound.project_name!r}){where}, to which this study was sent; {maker}. Nothing was "
        f"changed. Log in {other} (trephine cvat login {bound.url}), or have the project given to "
        f"{user!r} in CVAT (as its assignee, or by its organisation); to leave it with all work "
        f"in it and send everything to another: trephine push {study.path} --new-project"
    )


def enter_organization(
    study: Study, server: CvatServer, project: CvatProject, notes: list[str]
) -> None:
    """Ask in the organisation of a project from now on, whatever study.toml says."""
    named = study.settings.cvat.organization
    if named and named != project.organization:
        lies = (
            f"in the organisation {project.organization!r}"
            if project.organization
            else "in no organisation"
        )
        notes.append(
            f"project {project.id} ({project.name!r}) lies {lies}, study.toml names "
            f"{named!r} under [cvat]: it is used where it lies"
        )
    server.use_organization(project.organization)


def find_project(
    study: Study, server: CvatServer, notes: list[str], new_project: bool = False
) -> CvatProject | None:
    """The project that a push sends to; None where there is none yet. Nothing is made.

    Parameters
    ----------
    study : Study
    server : CvatServer
    notes : list of str
        What a person should know is appended.
    new_project : bool
        Leave the project that the study was sent to: one of the name that study.toml gives is
        taken, else there is none yet.

    Raises
    ------
    UsageError
        When the study was sent to another server or project before.
    CvatForbidden
        When this login may not see the project.
    """
    study.cvat.check_server(server.info.url)
    bound = study.cvat.binding()
    if bound is None:
        return _named(study, server, notes)
    if new_project:
        notes.append(
            f"project {bound.project_id} ({bound.project_name!r}) is left with the "
            f"{len(study.cvat.sent())} images that were sent to it; what people finish there "
            "comes back only as an archive that is exported there: trephine pull "
            f"{study.path} --from FILE"
        )
        return _named(study, server, notes, bound)
    try:
        project = bound_project(study, server, notes)
    except CvatMissing as error:
        # It is gone with all that was in it: a new one strands nothing.
        notes.append(str(error))
        return _named(study, server, notes, bound)
    name = study.settings.cvat.project
    if name not in ("", bound.project_name):
        raise UsageError(
            f"expected the project {bound.project_name!r}, to which this study was sent, got "
            f"{name!r}; set project in [cvat] of study.toml back, make a new study, or push with "
            "--new-project to leave the first with all work in it"
        )
    # The name is what the study knows it by: people may have renamed it in CVAT.
    return project and CvatProject(
        project.id, bound.project_name, project.made_by, project.organization
    )


def ensure_project(
    study: Study, server: CvatServer, notes: list[str], found: CvatProject | None
) -> tuple[CvatProject, LabelIds]:
    """Make the study's project where there is none, check its labels, and bind the study to it.

    Parameters
    ----------
    study : Study
        Notes the project that it is bound to from now on.
    server : CvatServer
    notes : list of str
        What a person should know is appended.
    found : CvatProject or None
        As :func:`find_project` found it.

    Raises
    ------
    CvatError
        When the labels there do not tell the classes of the study apart, with the differences.
    """
    url, name = server.info.url, project_name(study)
    if found is None:
        # A request that was delivered twice, or a try before this one, may have made it.
        found = _named(study, server, notes, study.cvat.binding())
    if found is None:
        labels_there = labels_of(study.settings.classes, study.settings.cvat.exclude_label)
        server.create_project(name, labels_there)
        # The answer is not used: a request that was delivered twice made two projects, and every
        # push must choose the same one of them.
        found = _named(study, server, notes, study.cvat.binding())
    if found is None:
        raise CvatError(f"{url}: the project {name!r} was made but is not there; push again")
    match = matched_labels(study, server, found)
    notes += match.notes
    study.cvat.bind(Binding(url, found.id, found.name, study.cvat.study_key()))
    study.cvat.projects.note(
        KnownProject(found.id, found.made_by, found.organization, match.numbers())
    )
    return found, LabelIds(match.labels)


def matched_labels(study: Study, server: CvatServer, project: CvatProject) -> LabelMatch:
    """The labels of a project, each with the class of the study that it stands for.

    Raises
    ------
    CvatError
        When a class has no label, or more than one could be meant.
    """
    wanted = labels_of(study.settings.classes)
    known = study.cvat.projects.known(project.id).label_ids
    match = match_labels(wanted, server.labels(project.id), known)
    if match.faults:
        raise CvatError(
            f"project {project.name!r} at {server.info.url}: expected the labels of the study; "
            + "; ".join(match.lines)
            + ". Correct them in CVAT, or name another project in [cvat] of study.toml"
        )
    return match


def labels_to_read(
    study: Study, server: CvatServer, project: CvatProject, notes: list[str]
) -> ServerLabels:
    """The labels of a project, each under the name of the class that it stands for.

    Parameters
    ----------
    study : Study
    server : CvatServer
    project : CvatProject
    notes : list of str
        Which labels were deleted is appended.

    Raises
    ------
    CvatError
        When it is unclear which label stands for a class.
    """
    wanted = labels_of(study.settings.classes)
    known = study.cvat.projects.known(project.id).label_ids
    match = match_labels(wanted, server.labels(project.id), known)
    unclear = [fault for fault in match.faults if not fault.endswith(": missing")]
    if unclear:
        raise CvatError(f"project {project.id}: {'; '.join(unclear)}, and pull again")
    # A label whose number is known and no longer there was deleted, with all of its shapes.
    there = match.numbers()
    deleted = [label.name for label in wanted if label.name in known and label.name not in there]
    notes += [f"labels in CVAT: {name} was deleted, and all its shapes with it" for name in deleted]
    return ServerLabels((*match.labels, *match.others), deleted, study.settings.also)


def project_name(study: Study) -> str:
    """Name of the study's project: that of study.toml, else one that says nothing about it."""
    return study.settings.cvat.project or f"Trephine {study.cvat.study_key()}"


def _named(
    study: Study, server: CvatServer, notes: list[str], left: Binding | None = None
) -> CvatProject | None:
    """The project of the study's name; of several the first that has tasks, else the first.

    Parameters
    ----------
    study : Study
    server : CvatServer
    notes : list of str
        What a person should know is appended.
    left : Binding or None
        A project that is not to be taken again.
    """
    name, organization = project_name(study), study.settings.cvat.organization
    server.use_organization(organization)
    try:
        found = [p for p in server.projects(name) if left is None or p.id != left.project_id]
    except (CvatForbidden, CvatMissing) as error:
        if not organization:
            raise
        raise CvatError(
            f"{error}; is {organization!r} (organization under [cvat] in study.toml) the short "
            f"name of an organisation that {server.info.user!r} belongs to?"
        ) from error
    if not found:
        return None
    used = found[0]
    if len(found) > 1:
        used = next((project for project in found if server.tasks(project.id)), found[0])
        others = ", ".join(str(project.id) for project in found if project.id != used.id)
        notes.append(
            f"several projects are called {name!r}: {used.id} is used; remove {others} in CVAT if "
            "empty"
        )
    project = server.project(used.id)
    enter_organization(study, server, project, notes)
    return project
