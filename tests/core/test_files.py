"""Files are replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.files import replacing, write_text


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    target = tmp_path / "notes.txt"
    target.write_text("old")
    with replacing(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_stays_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "notes.txt"
    target.write_text("old")

    def torn() -> None:
        with replacing(target) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        torn()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_part_that_cannot_be_moved_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_text(target, "text")
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_before_anything_is_written_is_told_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".part-notes.txt").mkdir()  # neither written to nor removed
    with pytest.raises(OSError, match="part-notes"):
        write_text(tmp_path / "notes.txt", "text")
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "missing" / "notes.txt", "text")


@pytest.mark.parametrize("name", ["T2.nii.gz", "model.safetensors", "view.png", "control"])
def test_the_part_is_hidden_beside_its_target_and_ends_like_it(tmp_path: Path, name: str) -> None:
    with replacing(tmp_path / name) as part:
        part.touch()
    assert part.parent == tmp_path
    assert part.name.startswith(".")
    assert part.name.endswith(name)


def test_text_is_utf8_with_the_line_ends_asked_for(tmp_path: Path) -> None:
    write_text(tmp_path / "table.csv", "größe\r\n", newline="")
    assert (tmp_path / "table.csv").read_bytes() == "größe\r\n".encode()
