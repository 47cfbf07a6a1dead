"""The review page in a real browser, on drawn objects."""

from __future__ import annotations

import re
from collections.abc import Callable

from conftest import Opened, Served
from playwright.sync_api import Locator, Page, Route, expect

Serve = Callable[..., Served]
NO_ANSWER = re.compile("Failed to load resource|ERR_CONNECTION")


def tile(page: Page, index: int) -> Locator:
    return page.locator(f"#tile-{index}")


def badge(page: Page, index: int) -> Locator:
    return page.locator(f"#tile-{index} .badge")


def stored(page: Page) -> None:
    """Wait until nothing is on its way."""
    expect(page.locator(".tile.waits")).to_have_count(0)
    page.wait_for_function(
        "!Object.keys(localStorage).some((key) => key.startsWith('trephine-outbox'))"
    )


def live(page: Page, text: str | re.Pattern[str]) -> None:
    # After a lost answer the page waits, and asks again; a busy machine takes its time over it.
    expect(page.locator("#live")).to_contain_text(text, timeout=15_000)


def test_each_key_labels_the_tile_with_the_cursor_and_goes_on(serve: Serve, opened: Opened):
    server = serve()
    page = opened.page(server.address)
    for key in "1234ms":
        page.keyboard.press(key)
    stored(page)
    codes = ["bg", "fat", "cell", "bone", "mixed", "skip"]
    assert server.said() == [(code, 1) for code in codes]
    assert [act["ids"][0].partition(":")[2] for act in server.acts()] == list("123456")
    expect(badge(page, 1)).to_have_text("F")
    expect(tile(page, 1)).to_have_attribute("aria-label", "fat, field_00, labelled by eva")
    expect(page.locator("#grid")).to_have_attribute("aria-activedescendant", "tile-6")


def test_a_range_is_one_act_and_one_undo(serve: Serve, opened: Opened):
    server = serve()
    page = opened.page(server.address)
    tile(page, 3).click()
    tile(page, 9).click(modifiers=["Shift"])
    tile(page, 5).click(modifiers=["Control"])
    expect(page.locator('.tile[aria-selected="true"]')).to_have_count(6)
    page.keyboard.press("4")
    expect(badge(page, 9)).to_have_text("O")
    stored(page)
    assert server.said() == [("bone", 6)]
    page.keyboard.press("u")
    live(page, "Undone: 6 objects")
    expect(badge(page, 9)).to_have_text(re.compile(r".\?"))
    page.keyboard.press("Control+y")
    live(page, "Done again: 6 objects")
    expect(badge(page, 9)).to_have_text("O")


def test_undo_goes_on_after_a_reload_to_the_first_act(serve: Serve, opened: Opened):
    server = serve()
    page = opened.page(server.address)
    page.keyboard.press("2")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("3")
    stored(page)
    page.reload()
    expect(badge(page, 0)).to_have_text("F")
    expect(badge(page, 2)).to_have_text("C")
    page.keyboard.press("Control+z")
    live(page, "Undone: 2 objects")
    page.keyboard.press("Control+z")
    live(page, "Undone: 1 object")
    page.keyboard.press("Control+z")
    live(page, "Nothing to undo.")
    expect(badge(page, 0)).to_have_text(re.compile(r".\?"))
    assert [act["kind"] for act in server.acts()] == ["label", "label", "undo", "undo"]


def test_a_drawn_rectangle_selects_what_it_touches(serve: Serve, opened: Opened):
    server = serve()
    page = opened.page(server.address)
    first, last = tile(page, 1).bounding_box(), tile(page, 10).bounding_box()
    assert first is not None and last is not None
    page.mouse.move(first["x"] + 20, first["y"] + 20)
    page.mouse.down()
    page.mouse.move(last["x"] + 20, last["y"] + 60, steps=5)
    page.mouse.up()
    expect(page.locator('.tile[aria-selected="true"]')).to_have_count(6)
    page.keyboard.press("1")
    stored(page)
    assert [(code, count) for code, count in server.said()] == [("bg", 6)]


def test_all_shown_are_right_asks_where_they_are_many(serve: Serve, opened: Opened):
    server = serve()
    page = opened.page(server.address)
    page.set_viewport_size({"width": 1600, "height": 1400})
    expect(tile(page, 60)).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator("#ask")).to_contain_text("as background")
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    assert not (server.folder / "acts.jsonl").exists()
    page.keyboard.press("a")
    page.locator("#ask").get_by_role("button", name="Label them").click()
    stored(page)
    # The classes take turns in sevens: seven of each proposed class, in its own act.
    seen = page.locator(".tile.said").count()
    assert sum(count for _, count in server.said()) == seen > 50
    expect(badge(page, 0)).to_have_text("B")
    expect(badge(page, 7)).to_have_text("F")
    page.keyboard.press("a")
    live(page, "labelled already")


def test_a_group_is_named_but_for_what_a_person_said(serve: Serve, opened: Opened):
    server = serve()
    page = opened.page(server.address)
    page.keyboard.press("1")
    page.keyboard.press("g")
    expect(page.locator("#ask")).to_contain_text("140 objects")
    page.keyboard.press("4")
    live(page, "139 objects named bone")
    expect(badge(page, 0)).to_have_text("B")
    expect(badge(page, 1)).to_have_text(re.compile("^O"))
    assert server.said() == [("bg", 1), ("bone", 139)]


def test_two_tabs_see_each_other_and_share_the_undo(serve: Serve, opened: Opened):
    server = serve()
    one = opened.page(server.address)
    other = opened.page(f"http://127.0.0.1:{server.port}/")
    one.keyboard.press("3")
    stored(one)
    expect(badge(other, 0)).to_have_text("C")
    other.keyboard.press("ArrowRight")
    other.keyboard.press("4")
    stored(other)
    one.bring_to_front()
    expect(badge(one, 1)).to_have_text("O")
    one.keyboard.press("u")
    live(one, "Undone: 1 object")
    expect(badge(one, 1)).to_have_text(re.compile(r".\?"))
    expect(badge(one, 0)).to_have_text("C")
    assert server.said() == [("cell", 1), ("bone", 1)]


def test_retraining_shows_progress_result_and_the_next_queue(serve: Serve, opened: Opened):
    page = opened.page(serve().address)
    before = badge(page, 0).text_content()
    page.get_by_role("button", name="Retrain").click()
    expect(page.get_by_role("progressbar", name="Training")).to_be_visible()
    expect(page.locator("#train-text")).to_contain_text("Round 1: accuracy 90.0 % (86–93)")
    expect(page.locator("#train-text")).to_contain_text("as good as the one before")
    expect(page.locator("#train-text")).to_contain_text("300 objects changed class")
    expect(page.locator("#rounds")).to_contain_text("1 (in use)")
    page.get_by_role("button", name="Next queue from the new model").click()
    expect(page.locator("#queue")).to_have_value("uncertain")
    expect(page.locator("#grid")).to_have_attribute("aria-label", "Queue uncertain, 300 objects")
    assert before == "B?"


def test_acts_wait_for_a_killed_server_and_are_stored_once(serve: Serve, opened: Opened):
    server = serve()
    opened.allowed = NO_ANSWER
    page = opened.page(server.address)
    page.keyboard.press("1")
    stored(page)
    server.kill()
    for key in "234":
        page.keyboard.press(key)
    expect(page.locator("#banner")).to_contain_text("3 acts are kept here")
    expect(page.locator("#banner")).to_contain_text(f"--port {server.port}")
    expect(badge(page, 2)).to_have_text("C")
    expect(tile(page, 2)).to_have_attribute("aria-label", re.compile("waits to be stored"))
    server.start()
    live(page, "everything is stored")
    expect(page.locator("#banner")).to_be_hidden()
    stored(page)
    assert server.said() == [("bg", 1), ("fat", 1), ("cell", 1), ("bone", 1)]


def test_what_a_closed_tab_left_behind_is_sent_by_the_next(serve: Serve, opened: Opened):
    server = serve()
    opened.allowed = NO_ANSWER
    page = opened.page(server.address)
    server.kill()
    page.keyboard.press("4")
    expect(page.locator("#banner")).to_contain_text("1 act is kept here")
    page.close()
    server.start()
    other = opened.page(f"http://127.0.0.1:{server.port}/")
    # An act is another tab's for five seconds; the next look for those left behind comes later.
    expect(badge(other, 0)).to_have_text("O", timeout=15_000)
    stored(other)
    assert server.said() == [("bone", 1)]


def test_an_act_whose_answer_is_lost_is_stored_once(serve: Serve, opened: Opened):
    server = serve()
    opened.allowed = NO_ANSWER
    page = opened.page(server.address)
    lost: list[str] = []

    def lose_first(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().text())
        route.abort()

    page.route("**/api/labels", lose_first)
    page.keyboard.press("3")
    live(page, "everything is stored")
    stored(page)
    assert len(lost) == 1
    assert server.said() == [("cell", 1)]


def test_a_refused_act_is_taken_back_and_said(serve: Serve, opened: Opened):
    server = serve()
    opened.allowed = NO_ANSWER
    page = opened.page(server.address)
    fault = {"error": "expected an object of the study, got another; load the page anew"}
    page.route("**/api/labels", lambda route: route.fulfill(status=404, json=fault))
    page.keyboard.press("3")
    live(page, f"Not stored: {fault['error']}")
    expect(badge(page, 0)).to_have_text("B?")
    stored(page)
    assert not (server.folder / "acts.jsonl").exists()


def test_hostile_image_names_are_text(serve: Serve, opened: Opened):
    names = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "\u202egnp.knab & co'")
    server = serve(300, names)
    page = opened.page(server.address)
    for index, name in zip((0, 100, 200), names, strict=True):
        page.locator("#queue").select_option("image")
        page.locator("#image").select_option(index=index // 100)
        expect(tile(page, 0)).to_have_attribute("aria-label", re.compile(re.escape(name)))
        page.locator("#grid").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#viewer-title")).to_have_text(name)
        page.keyboard.press("Escape")
        expect(page.locator("#viewer")).to_be_hidden()
    assert page.locator("#image option").all_text_contents() == list(names)
    assert page.locator("main img:not(.tile img), body script").count() == 0


def test_the_whole_way_by_keyboard_alone(serve: Serve, opened: Opened):
    server = serve()
    page = opened.page(server.address)
    page.keyboard.press("/")
    expect(page.locator("#queue")).to_be_focused()
    page.keyboard.type("One image")
    expect(page.locator("#grid")).to_have_attribute("aria-label", "Queue image, 100 objects")
    page.keyboard.press("Escape")
    expect(page.locator("#grid")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("#grid")).to_have_attribute("aria-activedescendant", "tile-99")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("z")
    expect(page.locator("#zoom")).to_contain_text("field_00")
    page.keyboard.press("Escape")
    expect(page.locator("#zoom")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer path")).to_have_count(100)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("4")
    stored(page)
    expect(page.locator("#viewer path.said")).to_have_count(2)
    page.keyboard.press("u")
    expect(page.locator("#viewer path.said")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#grid")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_contain_text("undo, also after a reload")
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    page.keyboard.press("n")
    page.keyboard.press("2")
    stored(page)
    assert server.said() == [("bone", 2), ("fat", 1)]


def test_every_control_and_tile_has_a_name(serve: Serve, opened: Opened):
    page = opened.page(serve().address)
    expect(tile(page, 0)).to_have_attribute(
        "aria-label", "background? 0.30, field_00, not labelled"
    )
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, [role=gridcell].tile, progress")]
        .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
        .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    tree = page.locator("#grid").aria_snapshot()
    assert 'row "Group 0' in tree or 'rowheader "Group 0' in tree
    assert 'gridcell "background? 0.30, field_00, not labelled"' in tree


def test_a_small_screen_shows_all_and_is_touched(serve: Serve, telephone: Opened):
    server = serve()
    page = telephone.page(server.address)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    for name in ("Undo", "All shown are right", "Several", "bone"):
        box = page.locator("#actions").get_by_role("button", name=name).bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 400
    page.locator("#actions").get_by_role("button", name="Several").tap()
    tile(page, 1).tap()
    tile(page, 2).tap()
    tile(page, 0).tap()
    page.locator("#actions").get_by_role("button", name="bone").tap()
    stored(page)
    assert server.said() == [("bone", 2)]
    page.get_by_role("button", name="Study").tap()
    expect(page.get_by_role("button", name="Retrain")).to_be_visible()
    page.get_by_role("button", name="Study").tap()
    tile(page, 3).dblclick()
    expect(page.locator("#viewer path")).to_have_count(100)
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_of_25000_objects_only_those_in_sight_are_in_the_page(serve: Serve, opened: Opened):
    server = serve(25_000)
    page = opened.page(server.address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for share in (0.1, 0.5, 0.9):
        page.evaluate(
            "(share) => { const grid = document.getElementById('grid');"
            " grid.scrollTop = share * grid.scrollHeight; }",
            share,
        )
        expect(page.locator(".tile img[src]").first).to_be_visible()
        assert page.locator(".tile").count() < 120
    page.keyboard.press("End")
    expect(tile(page, 24_999).locator("img[src]")).to_be_visible()
    page.keyboard.press("4")
    stored(page)
    assert server.acts()[0]["ids"] == [f"{249:016x}:100"]
    # Pages of 500 objects: only those where somebody looked.
    assert len({url for url in asked if "/api/queue" in url}) < 12


def test_the_layout_agrees_with_one_counted_tile_by_tile(serve: Serve, opened: Opened):
    page = opened.page(serve().address)
    counts, columns, head, row, cell = [5, 0, 1, 7], 3, 10, 20, 8
    found = page.evaluate(
        """async ([counts, columns, headHeight, rowHeight, cell]) => {
          const { inRectangle, makeLayout, place, vertical } = await import("/static/layout.js");
          const groups = counts.map((count) => ({ count }));
          const layout = makeLayout(groups, columns, { headHeight, rowHeight });
          const all = [...Array(layout.total).keys()];
          const box = { left: 9, right: 15, top: 35, bottom: 95 };
          return {
            height: layout.height,
            tops: all.map((index) => place(layout, index).top),
            columns: all.map((index) => place(layout, index).column),
            touched: inRectangle(layout, box, cell),
            down: all.map((index) => vertical(layout, index, 1)),
            up: all.map((index) => vertical(layout, index, -1)),
          };
        }""",
        [counts, columns, head, row, cell],
    )
    tops, places = [], []
    top = 0
    for count in counts:
        top += head
        tops += [top + row * (at // columns) for at in range(count)]
        places += [at % columns for at in range(count)]
        top += row * -(-count // columns)
    assert (found["height"], found["tops"], found["columns"]) == (top, tops, places)
    inside = [
        at for at in range(len(tops)) if tops[at] < 95 and tops[at] + row > 35 and places[at] == 1
    ]
    assert found["touched"] == inside
    # 0 1 2 / 3 4 // 5 // 6 7 8 / 9 10 11 / 12: a shorter row takes its last tile.
    assert found["down"] == [3, 4, 4, 5, 5, 6, 9, 10, 11, 12, 12, 12, 12]
    assert found["up"] == [0, 1, 2, 0, 1, 3, 5, 5, 5, 6, 7, 8, 9]


def test_keys_pressed_while_tiles_are_loading_label_nothing_twice(serve: Serve, opened: Opened):
    server = serve(3000)
    page = opened.page(server.address)
    held: list[Route] = []
    page.route(re.compile("offset=2500"), lambda route: held.append(route))
    page.keyboard.press("End")
    for key in "1234":
        page.keyboard.press(key)
    expect(page.locator("#tile-2999")).to_have_attribute("aria-label", "not loaded yet")
    page.wait_for_timeout(200)
    assert len(held) == 1
    held[0].continue_()
    expect(badge(page, 2999)).to_have_text("B")
    stored(page)
    assert server.said() == [("bg", 1)]
