"""`restow doctor` tells people and programs what this machine can do as a host."""

from domain.problems import Exit
from handlers.machine.findings import Use


async def test_the_command_line_tells_it_to_people_and_programs(restow):
    seen = await restow("doctor", "-o", "json")
    assert seen.code in {Exit.DONE, Exit.DIFFERENT}
    assert seen.json["able"].keys() == {str(use) for use in Use}
    assert (seen.code == Exit.DONE) == seen.json["able"]["containers"]
    told = await restow("doctor")
    assert "run containers with runc" in told.out
    assert (told.err, told.code) == ("", seen.code)


async def test_a_program_that_settings_name_and_is_not_there_is_missing(restow, monkeypatch):
    monkeypatch.setenv("RESTOW_RUNC", "/nowhere/runc")
    told = await restow("doctor")
    assert told.code == Exit.DIFFERENT
    assert "apt-get install -y --no-install-recommends runc" in told.out
