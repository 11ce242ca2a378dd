"""Every screen by keys, and every error where it is seen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sample_home
from driving import go, screen, shows, unfold, until
from textual.widgets import Button, Input, OptionList, Select

from diffinv.difference import load, save
from diffinv.jobs.planning import plan_inversion
from diffinv.plugins.registry import Registry
from diffinv.plugins.rows import PluginRow
from diffinv.storage.store import Library
from diffinv_tui.app import DiffinvApp
from diffinv_tui.config import load_preferences, preferences_file
from diffinv_tui.screens.dialogs import Detail
from diffinv_tui.screens.jobs import JobsScreen
from diffinv_tui.trying import STRENGTHS
from diffinv_tui.widgets.chosen_rows import Chosen
from diffinv_tui.widgets.difference_list import PAGE, DifferenceList
from diffinv_tui.widgets.difference_view import DifferenceView, Figure
from diffinv_tui.widgets.form import Checks
from diffinv_tui.widgets.navbar import Place
from diffinv_tui.widgets.picture import Picture
from diffinv_tui.widgets.picture_field import PictureField
from diffinv_tui.widgets.results_grid import ResultsGrid
from diffinv_tui.widgets.slider import Slider
from diffinv_tui.widgets.strength_strip import StrengthStrip

pytestmark = pytest.mark.asyncio
MakeApp = Callable[..., DiffinvApp]


# Library


async def test_search_is_instant_and_can_be_left(full_home: Path, make_app: MakeApp) -> None:
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("slash", *"tag:light")
        await shows(pilot, "3 differences")
        await pilot.press("enter")
        assert isinstance(pilot.app.focused, DifferenceList)
        await pilot.press("slash", "z", "z")
        await shows(pilot, "Nothing fits")
        await pilot.press("escape")
        await shows(pilot, "11 differences")


async def test_cards_table_and_sorting_are_remembered(full_home: Path, make_app: MakeApp) -> None:
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("v")
        await shows(pilot, "FROM → TO")
        await pilot.press("s", "s")
        await shows(pilot, "by name")
        await pilot.app.workers.wait_for_complete()
    kept, problem = load_preferences(preferences_file())
    assert (kept.view, kept.sort, problem) == ("table", "name", None)


async def test_tags_rename_trash_and_undo(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("space", "space")
        await shows(pilot, "2 marked of 11")
        await pilot.press("t")
        await shows(pilot, "Add tags to 2 differences")
        await pilot.press(*"fresh", "enter")
        await until(pilot, lambda: len(app.library.search("tag:fresh")) == 2)
        await pilot.press("escape", "home", "r")
        await shows(pilot, "Rename")
        app.screen.query_one(Input).value = "other name"
        await pilot.press("enter")
        await shows(pilot, "other name")
        await pilot.press("home", "d")
        await shows(pilot, "10 differences")
        await pilot.press("end", "u")
        await shows(pilot, "11 differences")
        assert app.screen.query_one(DifferenceList).current.name == "other name"


async def test_marked_differences_go_to_apply(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("space", "space", "a")
        await until(pilot, lambda: len(app.screen.query(Chosen)) == 2)


async def test_a_file_from_outside_is_noticed(full_home: Path, make_app: MakeApp) -> None:
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        new = sample_home.difference("dropped in", sample_home.BASE, "sky", "moon", (), 15)
        save(new, full_home / "diffinv" / "library" / "dropped.safetensors")
        await shows(pilot, "12 differences")


async def test_a_file_that_is_damaged_in_place_is_noticed(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        path = app.screen.query_one(DifferenceList).current.path
        path.write_bytes(b"no difference any more")
        await shows(pilot, "Press d to move it to the trash.")


async def test_a_library_that_vanishes_is_missed(full_home: Path, make_app: MakeApp) -> None:
    folder = full_home / "diffinv" / "library"
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        folder.rename(full_home / "elsewhere")
        await shows(pilot, "is gone: mount its drive")
        assert "Run the demo" not in screen(pilot.app)
        (full_home / "elsewhere").rename(folder)
        await shows(pilot, "cabin to castle")


async def test_the_cursor_stays_with_its_difference(full_home: Path, make_app: MakeApp) -> None:
    """What comes from outside must not put another one under the key for the trash."""
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("right")
        shelf = pilot.app.screen.query_one(DifferenceList)
        before = shelf.current.path
        new = sample_home.difference("newest", sample_home.BASE, "sky", "moon", (), -5)
        save(new, full_home / "diffinv" / "library" / "newest.safetensors")
        await shows(pilot, "12 differences")
        assert (shelf.current.path, shelf.cursor) == (before, 2)


async def test_keys_in_a_detail_act_on_what_it_shows(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        shelf = app.screen.query_one(DifferenceList)
        await pilot.press("space", "space")
        await shows(pilot, "2 marked of 11")
        shown, marked = shelf.current.path, list(shelf.marked)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await pilot.press("d")
        await until(pilot, lambda: not shown.exists())
        await shows(pilot, "2 marked of 10")
        assert all(path.exists() for path in marked)


async def test_a_difference_without_a_preview_shows_its_pair_alone(
    full_home: Path, make_app: MakeApp
) -> None:
    whole_path = next((full_home / "diffinv" / "library").glob("first-snow*"))
    whole = load(whole_path)
    bare = {name: data for name, data in whole.thumbnails.items() if name != "preview"}
    save(replace(whole, thumbnails=bare), whole_path)
    app = make_app(full_home)
    async with app.run_test(size=(140, 45)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("slash", *"first snow")
        view = app.screen.query_one(DifferenceView)
        await until(pilot, lambda: view.entry and view.entry.path == whole_path)
        figures = list(view.query(Figure))
        await until(pilot, lambda: not figures[2].display)
        assert all(figure.query_one(Picture).image for figure in figures[:2])
        await pilot.press("escape", "right")
        await until(pilot, lambda: view.entry and view.entry.path != whole_path)
        await until(pilot, lambda: figures[2].display)


async def test_only_a_page_of_many_differences_is_read(home: Path, make_app: MakeApp) -> None:
    class Many(Library):
        asked: list[int] = []

        def page(self, query, sort, limit, offset=0, look=True):
            self.asked.append(offset)
            numbers = range(offset, offset + limit)
            return [sample_home.entry(self.folder, f"number {n}") for n in numbers], 10_000

    app = make_app(home)
    app.library = Many(home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "10,000 differences")
        await pilot.press("v", "end")
        await shows(pilot, "number 9999")
        assert set(Many.asked) == {0, 9_900}
        assert len(app.screen.query("*")) < 100
        assert PAGE == 100


async def test_a_damaged_difference_is_shown_with_its_reason(
    full_home: Path, make_app: MakeApp
) -> None:
    broken = full_home / "diffinv" / "library" / "broken.safetensors"
    broken.write_bytes(b"\x10\0\0\0\0\0\0\0{no json at all..")
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "12 differences")
        await pilot.press("slash", *"broken", "enter")
        await shows(pilot, "1 difference")
        await shows(pilot, "Press d to move it to the trash.")
        assert "header cannot be read" in screen(app)


async def test_a_library_that_cannot_be_listed_says_so(home: Path, make_app: MakeApp) -> None:
    (home / "diffinv").mkdir()
    (home / "diffinv" / "library").write_text("a file, not a folder")
    async with make_app(home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "cannot be")


# New


async def choose_pair(new, pictures: Path) -> None:
    a, a_prime = new.query(PictureField)
    a.choose(pictures / "before.png")
    a_prime.choose(pictures / "after.png")


async def test_the_form_checks_before_it_starts(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        await choose_pair(new, full_home / "pictures")
        await shows(pilot, "to be named before-to-after")
        assert "about 48 s" in screen(app)
        await unfold(pilot)
        new.query_one("#steps", Input).value = "many"
        await shows(pilot, "'many' is not a whole number")
        assert new.query_one("#start", Button).disabled
        new.query_one("#steps", Input).value = "7"
        new.query_one("#preset", Select).value = "paper"
        new.query_one("#name", Input).value = "winter"
        await until(pilot, lambda: not new.query_one("#start", Button).disabled)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.jobs)
        (job,) = app.jobs
        assert (job.request.name, job.request.settings.steps) == ("winter", 7)
        assert job.request.settings.preset == "paper"
        await until(pilot, lambda: app.current_mode == "jobs")


async def test_a_check_that_comes_late_says_nothing(full_home: Path, make_app: MakeApp) -> None:
    """What was changed meanwhile must not start as it was before."""
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        await choose_pair(new, full_home / "pictures")
        await until(pilot, lambda: not new.query_one("#start", Button).disabled)
        late = new._ready
        new.query_one("#name", Input).value = "other"
        await until(pilot, lambda: new._ready is None)
        new._say_good(late, plan_inversion(late), None)
        assert new.query_one("#start", Button).disabled
        await pilot.press("ctrl+s")
        assert not app.jobs
        await shows(pilot, "to be named other")


async def test_wrong_pictures_are_named(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        a, a_prime = new.query(PictureField)
        a.choose(full_home / "gone.png")
        await shows(pilot, "Choose both pictures")
        a_prime.choose(full_home / "pictures" / "after.png")
        await shows(pilot, "does not exist")
        a.choose(full_home / "pictures" / "after.png")
        await shows(pilot, "same picture")


async def test_the_file_picker_shows_pictures(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        app.picked = full_home / "pictures"
        await pilot.press("enter")
        await shows(pilot, "before.png")
        await pilot.press(*"before")
        await until(pilot, lambda: app.screen.query_one("#files").option_count == 1)
        await until(pilot, lambda: app.screen.query(Picture).first().image is not None)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is new)
        assert new.query(PictureField).first().path == full_home / "pictures" / "before.png"


async def test_a_dropped_file_is_taken(full_home: Path, make_app: MakeApp) -> None:
    from textual.events import Paste

    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        field = new.query(PictureField).first()
        field.focus()
        field.post_message(Paste(f"file://{full_home}/pictures/before.png\n"))
        await until(pilot, lambda: field.path is not None)
        await shows(pilot, "before.png")


async def test_several_pairs_and_clearing(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        await choose_pair(new, full_home / "pictures")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: len(new.query(PictureField)) == 4)
        fields = list(new.query(PictureField))
        fields[2].choose(full_home / "pictures" / "trip" / "01.png")
        fields[3].choose(full_home / "pictures" / "winter" / "01.png")
        await shows(pilot, "2 pairs")
        await pilot.press("ctrl+l")
        await until(pilot, lambda: len(new.query(PictureField)) == 2)


async def test_numbers_beyond_all_sense_are_refused(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        for field, name in zip(new.query(PictureField), ("before", "after"), strict=True):
            field.choose(full_home / "pictures" / f"{name}.png")
        await unfold(pilot)
        for id, value in (("seed", 10**30), ("tokens", 10**6), ("steps", 10**9)):
            line = new.query_one(f"#{id}", Input)
            line.value = str(value)
            await shows(pilot, f"{id} is between")
            line.value = ""
        await until(pilot, lambda: new._ready)


# Jobs


async def test_jobs_that_come_while_the_screen_is_resized_stay(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "jobs")
        await shows(pilot, "27 of 40 steps, about 15 s left")
        screen, jobs = app.screen, app.jobs
        assert isinstance(screen, JobsScreen)
        app.jobs = []
        screen.on_resize()
        app.jobs = jobs
        screen.take_jobs(jobs)
        await pilot.pause()
        await pilot.pause()
        assert not screen.query_one("#no-jobs").display


async def test_jobs_can_be_steered(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "jobs")
        await shows(pilot, "27 of 40 steps, about 15 s left")
        await shows(pilot, "1,184 MB")
        await pilot.press("down", "J")
        await until(pilot, lambda: ("move", 8, False) in app.store.calls)
        await pilot.press("less_than_sign")
        await until(pilot, lambda: ("move_to_end", 8, True) in app.store.calls)
        await pilot.press("p")
        await shows(pilot, "The queue is paused")
        await shows(pilot, "p Resume queue")
        assert "Pause queue" not in screen(app)
        await pilot.press("p", "up", "c")
        await shows(pilot, "p Pause queue")
        await until(pilot, lambda: ("cancel", 7) in app.store.calls)
        await pilot.press("u")
        await until(pilot, lambda: ("resume", 7) in app.store.calls)


@pytest.mark.parametrize(
    "title", ["a winter of many words and yet more", "長い題名がある仕事の題名"]
)
async def test_a_long_title_leaves_room_for_the_figure(
    full_home: Path, make_app: MakeApp, title: str
) -> None:
    app = make_app(full_home)
    app.store.list = [replace(j, title=title) for j in app.store.list]
    async with app.run_test(size=(80, 24)) as pilot:
        await go(pilot, "jobs")
        await until(pilot, lambda: "68 %" in screen(app).splitlines()[0])
        assert "3 Jobs ○2 ‖1" in screen(app).splitlines()[0]
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: f"● {title[:11]}" in screen(app).splitlines()[0])
        assert "68 %" in screen(app).splitlines()[0]


async def test_a_failed_job_says_why(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        jobs = await go(pilot, "jobs")
        jobs.select(4)
        await shows(pilot, "choose --device cpu")
        await pilot.press("r")
        await until(pilot, lambda: ("retry", 4) in app.store.calls)
        jobs.select(3)
        await shows(pilot, "the machine was restarted")


async def test_a_job_that_is_interrupted_is_told_anywhere(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.jobs)
        app.store._change(7, state="interrupted", error="Its worker stopped.")
        await shows(pilot, "Its worker stopped.")


async def test_what_is_done_is_told_where_it_is_not_seen(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        jobs = await go(pilot, "jobs")
        await shows(pilot, "winter on trip")
        jobs.select(7)
        await until(pilot, lambda: jobs.current and jobs.current.id == 7)
        app.store._change(7, state="done")
        await until(pilot, lambda: jobs.current.state == "done")
        assert "winter is done" not in screen(app)
        app.store._change(8, state="done")
        await shows(pilot, "winter on trip is done")


async def test_results_of_a_job_can_be_looked_at(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        jobs = await go(pilot, "jobs")
        jobs.select(6)
        await shows(pilot, "01.png")
        await pilot.press("enter", "enter")
        await shows(pilot, "~/pictures/winter/01.png")
        await pilot.press("escape")
        jobs.select(5)
        await shows(pilot, "Enter opens")
        jobs.query_one(OptionList).focus()
        await pilot.press("enter")
        await shows(pilot, "building castle")
        await pilot.press("d")
        assert "Trash" not in screen(app)
        assert isinstance(app.screen, Detail)


async def test_a_long_log_goes_on(full_home: Path, make_app: MakeApp) -> None:
    """Only its end is shown, which stays as long as it is."""
    app = make_app(full_home)
    job = app.store.list[0]
    job.log.parent.mkdir(parents=True, exist_ok=True)
    job.log.write_text("a line of the log\n" * 2_000)
    async with app.run_test(size=(120, 40)) as pilot:
        jobs = await go(pilot, "jobs")
        jobs.select(job.id)
        await shows(pilot, "a line of the log")
        with job.log.open("a") as log:
            log.write("the last line\n")
        app.poll_soon()
        await shows(pilot, "the last line")


async def test_no_jobs_say_what_to_press(home: Path, make_app: MakeApp) -> None:
    async with make_app(home, jobs=False).run_test() as pilot:
        await go(pilot, "jobs")
        await shows(pilot, "No jobs yet")


# Apply


async def test_differences_strengths_and_a_sweep(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        apply = await go(pilot, "apply")
        await pilot.press("ctrl+d")
        await shows(pilot, "Apply which difference?")
        await pilot.press(*"first", "enter")
        await until(pilot, lambda: apply.query(Slider))
        await until(pilot, lambda: isinstance(app.focused, Slider))
        await pilot.press("left", "pagedown", "pagedown", "pagedown")
        assert apply.query_one(Slider).value == -0.6
        apply.add_image(full_home / "pictures" / "trip")
        await shows(pilot, "6 pictures, with Diorama")
        await shows(pilot, "~/pictures/trip-first-snow_-0.6")
        await until(pilot, lambda: apply.query_one(ResultsGrid).total == 6)
        await pilot.press("ctrl+w")
        await until(pilot, lambda: len(app.jobs) == 1)
        request = app.jobs[0].request
        assert request.differences[0][1] == 1.0
        assert request.sweep == STRENGTHS
        assert request.out == full_home / "pictures" / "trip-first-snow"
        assert [path.name for path in request.images] == ["01.png"]
        await until(pilot, lambda: isinstance(app.focused, StrengthStrip))
        await pilot.press("ctrl+t")
        await until(pilot, lambda: len(app.jobs) == 2)
        tried = next(job.request for job in app.jobs if job.id == 2)
        assert (tried.differences[0][1], tried.sweep) == (-0.6, (1.0,))
        apply.query_one(Slider).value = 0.0
        await shows(pilot, "At strength 0 nothing changes.")


async def test_results_are_of_what_was_started(full_home: Path, make_app: MakeApp) -> None:
    """Pictures that are added afterwards are not to come; those without a result have failed."""
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        apply = await go(pilot, "apply")
        apply.choose([("desert", full_home / "diffinv" / "library" / "desert.safetensors")])
        apply.add_image(full_home / "pictures" / "trip")
        await shows(pilot, "6 pictures, with Diorama")
        await until(pilot, lambda: apply._ready)
        await pilot.press("ctrl+s")
        await shows(pilot, "0 of 6")
        apply.add_image(full_home / "pictures" / "winter")
        await shows(pilot, "12 pictures, with Diorama")
        app.store._change(1, state="done")
        await shows(pilot, "failed")
        assert "0 of 6" in screen(app)


async def test_the_number_of_a_screen_leads_there_from_a_slider(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        apply = await go(pilot, "apply")
        apply.choose([("desert", full_home / "diffinv" / "library" / "desert.safetensors")])
        await until(pilot, lambda: isinstance(app.focused, Slider))
        await pilot.press("0")
        assert apply.query_one(Slider).value == 0
        await pilot.press("home")
        assert apply.query_one(Slider).value == 1
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "library")


async def test_apply_names_what_is_wrong(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        apply = await go(pilot, "apply")
        path = full_home / "diffinv" / "library" / "desert.safetensors"
        apply.choose([("desert", path)])
        apply.add_image(full_home / "nowhere.png")
        await until(pilot, lambda: apply.query_one(Checks).has_class("-bad"))
        await shows(pilot, "does not exist")


# Plugins, settings, help


async def test_a_broken_plugin_is_shown_with_its_reason(home: Path, make_app: MakeApp) -> None:
    bad = PluginRow("bad", "1.0", "diffinv-bad", status="broken", error="ImportError: no [bold]x")

    def plugins() -> Registry:
        return Registry(rows=[bad])

    app = make_app(home, jobs=False, plugins=plugins)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "Run the demo")
        await pilot.press("x")
        await shows(pilot, "No installed backbone")
        await go(pilot, "plugins")
        await shows(pilot, "ImportError: no [bold]x")
        new = await go(pilot, "new")
        await until(pilot, lambda: "None is installed" in screen(app))
        assert new.query_one("#start", Button).disabled


async def test_settings_are_kept(home: Path, make_app: MakeApp) -> None:
    app = make_app(home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        settings = await go(pilot, "settings")
        settings.query_one("#theme", Select).value = "diffinv-light"
        settings.query_one("#device", Input).value = "cuda:1"
        await until(pilot, lambda: load_preferences(preferences_file())[0].device == "cuda:1")
        assert app.theme == "diffinv-light"
    assert make_app(home).theme == "diffinv-light"


async def test_settings_and_library_agree(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        settings = await go(pilot, "settings")
        settings.query_one("#view", Select).value = "table"
        await until(pilot, lambda: app.preferences.view == "table")
        await go(pilot, "library")
        await shows(pilot, "FROM → TO")
        await pilot.press("v")
        app.theme = "diffinv-light"
        await go(pilot, "settings")
        assert settings.query_one("#view", Select).value == "cards"
        assert settings.query_one("#theme", Select).value == "diffinv-light"


async def test_keys_can_be_remapped(full_home: Path, make_app: MakeApp) -> None:
    preferences_file().write_text('[keys]\n"library.view" = "y"\n', encoding="utf-8")
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "y View")
        await pilot.press("y")
        await shows(pilot, "FROM → TO")


async def test_damaged_settings_are_named_and_left_out(full_home: Path, make_app: MakeApp) -> None:
    preferences_file().write_text('theme = 4\nview = "table"\n', encoding="utf-8")
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "cannot be used")
        await shows(pilot, "FROM → TO")


async def test_help_and_palette(full_home: Path, make_app: MakeApp) -> None:
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("question_mark")
        await shows(pilot, "The differences in your")
        await shows(pilot, "Rename")
        await pilot.press("question_mark", "ctrl+p")
        await pilot.press(*"go to jobs")
        await shows(pilot, "Go to Jobs")
        await until(pilot, lambda: "Go to Apply" not in screen(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == "jobs")


async def test_the_mouse_does_what_keys_do(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.click(DifferenceList, offset=(50, 5))
        await until(pilot, lambda: app.screen.query_one(DifferenceList).cursor == 1)
        await pilot.click(list(app.screen.query(Place))[2])
        await until(pilot, lambda: app.current_mode == "jobs", what="a click in the top line")


async def test_the_terminal_shrinks_while_another_screen_is_shown(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        for width in (70, 120, 60):
            await go(pilot, "plugins")
            await pilot.resize_terminal(width, 15)
            await pilot.press("1")
            await shows(pilot, "cabin to castle")


async def test_no_torch_and_no_multiprocessing_here(full_home: Path) -> None:
    import subprocess

    script = """
import asyncio, sys
from diffinv_tui.app import DiffinvApp
async def main():
    app = DiffinvApp(launcher=lambda store: None)
    async with app.run_test() as pilot:
        for mode in app.MODES:
            app.action_go(mode)
            await pilot.pause(0.3)
asyncio.run(main())
heavy = ("torch", "diffusers", "multiprocessing.popen_fork")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr


async def test_the_first_frame_waits_for_nothing_that_comes_later() -> None:
    import subprocess

    script = """
import sys
import diffinv_tui.app
late = ("numpy", "safetensors", "markdown_it", "diffinv_tui.serve")
print([name for name in late if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr
