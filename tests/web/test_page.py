"""The dashboard's files: what is sent, how long it is kept, what the page may do."""

import re

import pytest

from projections.web.page import POLICY, STATIC, files


async def test_the_page_is_at_the_front_and_may_load_from_here_alone(http):
    said = await http.get("/")
    assert said.status_code == 200
    assert said.headers["content-type"].startswith("text/html")
    assert said.headers["Cache-Control"] == "no-cache"
    policy = said.headers["Content-Security-Policy"]
    assert policy == POLICY
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_everything_the_page_names_is_sent_and_kept_for_ever(http):
    page = (await http.get("/")).text
    names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
    assert {name.rpartition(".")[2] for name in names} == {"js", "css"}
    for name in names:
        said = await http.get(name)
        assert said.status_code == 200
        assert "immutable" in said.headers["Cache-Control"]
        assert said.headers["X-Content-Type-Options"] == "nosniff"
        assert said.headers["Content-Encoding"] == "gzip"


async def test_what_a_browser_has_is_not_sent_again(http):
    for path in files():
        first = await http.get(path)
        again = await http.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/index.html", "/assets/../page.py", "/assets/%2e%2e/app.py", "/static/", "/fleet"]
)
async def test_nothing_else_is_looked_for(http, path):
    assert (await http.get(path)).status_code == 404


async def test_the_page_cannot_be_written(http):
    assert (await http.post("/", content=b"x")).status_code == 405


def test_a_file_is_found_for_every_path():
    assert {path for path in files() if path != "/"} == {
        f"/{found.relative_to(STATIC).as_posix()}"
        for found in STATIC.rglob("*")
        if found.is_file() and found.name != "index.html"
    }
