"""The command's answers to what does not go: codes and sentences."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli import main
from sidecar.zdd.decisions import Row
from sidecar.zdd.errors import BalancerError
from sidecar.zdd.stats_csv import read_rows
from tests.marathon.scripted_server import ScriptedServer, answering
from tests.unit.zdd.test_definitions import shop

NOBODY = "http://127.0.0.1:9"


def zdd(folder: Path, *words: str, app: object = None) -> Result:
    """Run the command against nobody."""
    path = folder / "app.json"
    path.write_text(json.dumps(shop() if app is None else app))
    return CliRunner().invoke(main, ["zdd", "-j", str(path), "-m", NOBODY, "-l", NOBODY, *words])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-c", "-p"), 3, "do not go together"),
        (("--weight", "5", "-n", "1"), 3, "--weight goes with neither"),
        (("--weight", "500"), 3, "is no percentage"),
        (("-l", "nonsense"), 3, "is not http://host:port"),
        (("-i", "0"), 3, "at least 1"),
        (("--auth-credentials", "me"), 2, "must be USER:PASSWORD"),
        (("--no-such-flag",), 2, "No such option"),
        ((), 6, "did not answer"),
    ],
)
def test_codes(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """Those of the original."""
    result = zdd(tmp_path, *words)

    assert result.exit_code == code, result.output
    assert said in result.output


def test_a_missing_field_is_code_4(tmp_path: Path) -> None:
    """Before anybody is asked."""
    assert zdd(tmp_path, app={"id": "x"}).exit_code == 4
    assert zdd(tmp_path, "-j", str(tmp_path / "nowhere")).exit_code == 4


@pytest.mark.parametrize("text", ["{", "[" * 100_000], ids=["cut short", "too deep"])
def test_a_file_that_is_no_json_is_code_4(tmp_path: Path, text: str) -> None:
    """And its name is said, without a trace of Python."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    result = zdd(tmp_path, "-j", str(path))

    assert result.exit_code == 4
    assert f"{path} is no JSON" in result.output


def test_the_originals_short_flags_are_taken() -> None:
    """All of them, and its --longhelp."""
    result = CliRunner().invoke(main, ["zdd", "--longhelp"])

    assert result.exit_code == 0
    for short in "jmldfsirwncp":
        assert f"-{short}," in result.output or f", -{short} " in result.output, short


def test_rows_of_one_backend_are_read() -> None:
    """Waiting requests and open sessions both keep a task."""
    head = "# pxname,svname,qcur,qmax,scur,status,\n"
    text = head + "b_1,s1,0,,0,MAINT,\nb_1,s2,1,,0,UP,\nb_1,s3,,,2,UP 1/2,\nb_1,BACKEND,0,,0,UP,\n"

    assert read_rows(text + "b_10,s1,0,,0,UP,\n", "b_1") == {  # type: ignore[arg-type]
        "s1": Row("MAINT", busy=False),
        "s2": Row("UP", busy=True),
        "s3": Row("UP 1/2", busy=True),
    }


def test_what_is_no_statistics_is_said() -> None:
    """A login page, say."""
    with pytest.raises(BalancerError):
        read_rows("<html></html>", "b_1")  # type: ignore[arg-type]


def test_who_says_no_to_the_first_question_hears_that_nothing_was_changed(tmp_path: Path) -> None:
    """There is nothing to go on with, or to take back."""
    path = tmp_path / "app.json"
    path.write_text(json.dumps(shop()))
    with ScriptedServer(answering(b'{"apps": []}')) as marathon:
        words = ["zdd", "-j", str(path), "-m", marathon.url, "-l", NOBODY]
        result = CliRunner().invoke(main, words, input="n\n")

    assert result.exit_code == 1
    assert "nothing was changed" in result.stderr
    assert "--resume" not in result.stderr
