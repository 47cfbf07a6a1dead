"""Who may see what: no access is never taken for "deleted", and organisations are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cvat_ends import IMPATIENT, pull, push, small_study
from support.cvat_places import CvatPlace, http_place
from support.cvat_studies import roughs, same_map, truths

from annotator.core.errors import CvatError, CvatForbidden, CvatMissing
from annotator.study.cvat import Binding
from annotator.study.study import Study
from export.cvat.client.labels import labels_of
from export.cvat.client.serialise import label_record
from export.cvat.push import plan_push
from export.cvat.push_report import SENT, PushRequest
from export.cvat.status import UNSEEN, CvatStatus, server_status
from export.cvat.watch import watch

pytestmark = pytest.mark.slow


@pytest.fixture
def place() -> Iterator[CvatPlace]:
    with http_place() as found:
        yield found


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two images, in one task."""
    return small_study(tmp_path, 2)


def binding_of(path: Path) -> Binding:
    with Study.open(path) as study:
        found = study.cvat.binding()
    assert found is not None
    return found


def status(place: CvatPlace, path: Path) -> CvatStatus:
    with Study.open(path) as study:
        return server_status(study, place.connect())


def finish(place: CvatPlace, path: Path) -> None:
    for job in place.jobs(path):
        place.expert.complete(job["id"])


def projects(place: CvatPlace) -> int:
    assert place.http is not None
    return len(place.http.state.projects)


# No access


def test_a_login_without_access_stops_everything(place: CvatPlace, study: Path) -> None:
    push(place, study)
    finish(place, study)
    before, bound = place.held(study), binding_of(study)
    place.log_in_as("patho2")
    said = (
        r"logged in as 'patho2', who may not see project 1 .*'admin' made it\. Nothing was changed"
        r".*as 'admin'.*--new-project"
    )
    for action in (push, pull, status):
        with pytest.raises(CvatForbidden, match=said):
            action(place, study)
    assert (place.held(study), binding_of(study), projects(place)) == (before, bound, 1)
    assert truths(study) == {}
    place.log_in_as("admin")
    assert len(pull(place, study).images) == 2


def test_a_watch_without_access_ends(place: CvatPlace, study: Path) -> None:
    push(place, study)
    place.log_in_as("stranger")
    with pytest.raises(CvatForbidden, match="'stranger'"):
        watch(lambda: pull(place, study), 5, Untold())


class Untold:
    """Nobody is to be told anything."""

    def pulled(self, report: object) -> None:
        raise AssertionError(report)

    def failed(self, error: Exception) -> None:
        raise AssertionError(error)


def test_who_was_given_a_job_sees_neither_task_nor_project(place: CvatPlace, study: Path) -> None:
    assert place.http is not None
    push(place, study, assignee="resident")
    resident = place.http.expert_called("resident")
    assert resident.ask("GET", "jobs")["count"] == 2
    assert resident.ask("GET", "tasks")["count"] == resident.ask("GET", "projects")["count"] == 0
    place.log_in_as("resident")
    with pytest.raises(CvatForbidden, match="'resident', who may not see project 1"):
        pull(place, study)
    # Once the project is given to them, they see it with all that is in it.
    place.http.state.projects[1].assignee = place.http.users["resident"].id
    finish(place, study)
    assert len(pull(place, study).images) == 2


def test_a_study_of_an_earlier_version_did_not_note_who_made_it(
    place: CvatPlace, study: Path
) -> None:
    bound = binding_after_push(place, study)
    place.log_in_as("patho2")
    with Study.open(study) as opened:
        opened.cvat.projects.note(opened.cvat.projects.known(99))
        assert opened.cvat.projects.known(bound.project_id).made_by == "admin"
        known = opened.cvat.projects.known(99)
        opened.cvat.projects.note(
            type(known)(bound.project_id, "", known.organization, known.label_ids)
        )
    with pytest.raises(CvatForbidden, match="did not note who made it"):
        push(place, study)


def binding_after_push(place: CvatPlace, path: Path) -> Binding:
    push(place, path)
    return binding_of(path)


def test_a_project_that_was_deleted_is_said_so(place: CvatPlace, study: Path) -> None:
    push(place, study)
    place.expert.ask("DELETE", "projects/1")
    for action in (pull, status):
        with pytest.raises(CvatMissing, match=r"project 1 .* is no longer at"):
            action(place, study)
    report = push(place, study)
    assert [one.status for one in report.images] == [SENT] * 2
    assert binding_of(study).project_id == 2
    assert len(report.notes) == 1


def test_a_task_that_is_not_seen_is_not_gone(place: CvatPlace, study: Path) -> None:
    """Such as one that was moved out of the project, whose new home our login may not see."""
    assert place.http is not None
    place.log_in_as("patho2")
    push(place, study)
    (task,) = place.http.state.tasks.values()
    task.project_id, task.owner = None, place.http.users["admin"].id
    found = status(place, study)
    assert [job.condition for row in found.tasks for job in row.jobs] == [UNSEEN] * 2
    assert [row.note for row in found.tasks] == ["not to be seen by 'patho2', though perhaps there"]
    (note,) = pull(place, study).notes
    assert note.startswith("not to be seen by 'patho2', though perhaps there: the jobs of")


# Another project, on request


def test_another_project_is_taken_on_request_and_the_first_stays_known(
    place: CvatPlace, study: Path
) -> None:
    assert place.http is not None
    push(place, study)
    first = place.held(study)
    place.log_in_as("patho2")
    report = push(place, study, new_project=True)
    assert [one.status for one in report.images] == [SENT] * 2
    assert "project 1" in report.notes[0] and "2 images" in report.notes[0]
    assert binding_of(study).project_id == 2
    assert place.held(study) == sorted(first * 2), "what was in the first is as it was"
    with Study.open(study) as opened:
        (left,) = opened.cvat.projects.left()
        assert (left.project_id, len(left.sent)) == (1, 2)
        assert {row.task_id for row in opened.cvat.sent()} == {2}
    assert "project 1 " in status(place, study).notes[0]
    assert [one.status for one in push(place, study).images] == ["up to date"] * 2
    finish(place, study)
    pull(place, study)
    found = truths(study)
    assert all(same_map(found[name], rough) for name, rough in roughs(study).items())


def test_a_dry_run_for_another_project_names_none_and_counts_all_pictures(
    place: CvatPlace, study: Path
) -> None:
    push(place, study)
    with Study.open(study) as opened:
        again = plan_push(opened, PushRequest())
        other = plan_push(opened, PushRequest(new_project=True))
    assert (again.project_id, sum(task.upload_bytes for task in again.tasks)) == (1, 0)
    assert other.project_id is None
    assert sum(task.upload_bytes for task in other.tasks) > 0


def test_a_push_to_another_project_that_broke_off_is_finished_without_the_option(
    place: CvatPlace, study: Path
) -> None:
    assert place.http is not None
    push(place, study)
    place.http.faults.down(17)
    place.retries = IMPATIENT
    report = push(place, study, new_project=True)
    place.http.faults.clear()
    assert "finishes it, without --new-project" in report.stopped
    assert push(place, study).is_complete
    assert (binding_of(study).project_id, projects(place)) == (2, 2)


def test_what_was_sent_to_a_project_that_was_left_is_still_the_baseline(
    place: CvatPlace, study: Path
) -> None:
    push(place, study)
    with Study.open(study) as opened:
        image = opened.images()[0]
        before = opened.cvat.baseline(image.id)
        opened.cvat.bind(Binding(place.url, 77, "other", opened.cvat.study_key()))
        assert opened.cvat.sent() == ()
        after = opened.cvat.baseline(image.id)
    assert before is not None and after is not None
    assert same_map(before, after)


# Tokens


def test_a_token_that_expires_during_a_push_ends_it(place: CvatPlace, study: Path) -> None:
    """It is no fault of the images; another login finishes it."""
    assert place.http is not None
    token = place.http.state.add_token("admin")
    place.log_in_with(token.value)

    def expire(number: int) -> None:
        token.expired = number >= 12

    place.http.faults.before = expire
    report = push(place, study)
    place.http.faults.before = None
    assert "the login has expired (401)" in report.stopped
    assert "running the same push again finishes it" in report.stopped
    assert all(one.status != "failed" for one in report.images)
    place.log_in_as("admin")
    assert push(place, study).is_complete
    assert len(place.held(study)) == 1


def test_a_token_that_expires_during_a_pull_leaves_the_rest_unread(
    place: CvatPlace, study: Path
) -> None:
    assert place.http is not None
    push(place, study)
    finish(place, study)
    token = place.http.state.add_token("admin")
    place.log_in_with(token.value)
    place.http.faults.clear()

    def expire(number: int) -> None:
        token.expired = number >= 5

    place.http.faults.before = expire
    report = pull(place, study)
    assert [job.outcome for job in report.jobs].count("not read") >= 1
    assert len(report.failed) == 1 and "(401)" in report.failed[0].why
    place.http.faults.before = None
    place.log_in_as("admin")
    pull(place, study)
    assert len(truths(study)) == 2


def test_a_token_that_only_reads_pulls_and_does_not_push(place: CvatPlace, study: Path) -> None:
    assert place.http is not None
    token = place.http.state.add_token("admin", read_only=True)
    place.log_in_with(token.value)
    with pytest.raises(CvatForbidden, match="a token may be read-only"):
        push(place, study)
    place.log_in_as("admin")
    push(place, study)
    finish(place, study)
    place.log_in_with(token.value)
    assert len(pull(place, study).images) == 2


# Organisations


def in_organization(path: Path, slug: str, settings: str = "") -> None:
    text = f'[cvat]\nbatch_size = 2\norganization = "{slug}"\n{settings}'
    (path / "study.toml").write_text(text, "utf-8")


def test_a_new_project_is_made_in_the_organisation(place: CvatPlace, study: Path) -> None:
    assert place.http is not None
    in_organization(study, "lab")
    place.log_in_as("member")
    assert push(place, study).is_complete
    lab, state = place.http.state.organization_named("lab").id, place.http.state
    rows = [*state.projects.values(), *state.tasks.values()]
    assert [row.organization for row in rows] == [lab] * 2
    finish(place, study)
    assert len(pull(place, study).images) == 2


def test_a_project_in_an_organisation_is_found_and_used_there(
    place: CvatPlace, study: Path
) -> None:
    """Without a word about it in study.toml."""
    assert place.http is not None
    (study / "study.toml").write_text('[cvat]\nbatch_size = 2\nproject = "shared"\n', "utf-8")
    with Study.open(study) as opened:
        labels = [label_record(label) for label in labels_of(opened.settings.classes)]
    state = place.http.state
    made = state.add_project("shared", labels, organization=state.organization_named("lab").id)
    assert push(place, study).is_complete
    assert binding_of(study).project_id == made.id
    assert {task.organization for task in state.tasks.values()} == {made.organization}


def test_images_added_after_a_project_was_moved_go_where_it_is(
    place: CvatPlace, study: Path
) -> None:
    assert place.http is not None
    place.log_in_as("member")
    push(place, study, count=1, batch_size=1)
    place.http.state.transfer(binding_of(study).project_id, "clinic")
    assert push(place, study, batch_size=1).is_complete
    clinic = place.http.state.organization_named("clinic").id
    assert [task.organization for task in place.http.state.tasks.values()] == [clinic] * 2
    with Study.open(study) as opened:
        known = opened.cvat.projects.known(binding_of(study).project_id)
    assert (known.organization, known.made_by) == ("clinic", "member")
    finish(place, study)
    assert len(pull(place, study).images) == 2


def test_a_project_elsewhere_than_study_toml_says_is_used_where_it_lies(
    place: CvatPlace, study: Path
) -> None:
    push(place, study)
    in_organization(study, "lab")
    report = push(place, study)
    assert report.is_complete
    assert report.notes == (
        f"project 1 ({binding_of(study).project_name!r}) lies in no organisation, study.toml "
        "names 'lab' under [cvat]: it is used where it lies",
    )


def test_an_organisation_that_is_not_there_lets_nothing_look_deleted(
    place: CvatPlace, study: Path, tmp_path: Path
) -> None:
    in_organization(study, "nowhere")
    with pytest.raises(CvatError, match=r"is 'nowhere' \(organization under \[cvat\]"):
        push(place, study)
    in_organization(study, "")
    push(place, study)
    in_organization(study, "nowhere")
    report = push(place, study)
    assert report.is_complete and "names 'nowhere'" in report.notes[0]
    assert projects(place) == 1


def test_a_task_that_was_moved_is_not_made_again(place: CvatPlace, study: Path) -> None:
    """What people finish in it would be stranded."""
    assert place.http is not None
    push(place, study)
    (task,) = place.http.state.tasks.values()
    task.project_id = None
    report = push(place, study)
    assert [one.status for one in report.images] == ["failed"] * 2
    assert "task 1, to which 2 images were sent, is no longer in the project" in (
        report.images[0].note
    )
    assert list(place.http.state.tasks) == [1]
    place.http.state.delete_task(1)
    assert [one.status for one in push(place, study).images] == [SENT] * 2


def test_nobody_else_is_seen_outside_an_organisation(place: CvatPlace, study: Path) -> None:
    place.log_in_as("patho2")
    with pytest.raises(CvatError, match=r"'resident'.*push as an administrator, or have"):
        push(place, study, assignee="resident")
    assert projects(place) == 0


def test_members_are_seen_in_an_organisation(place: CvatPlace, study: Path) -> None:
    assert place.http is not None
    in_organization(study, "lab")
    place.log_in_as("member")
    with pytest.raises(CvatError, match="only members of the organisation 'lab'"):
        push(place, study, assignee="resident")
    lab = place.http.state.organization_named("lab")
    lab.members.add(place.http.users["resident"].id)
    push(place, study, assignee="resident")
    assert {job["assignee"]["username"] for job in place.jobs(study)} == {"resident"}
