"""What is said of an unfamiliar input: a score just beyond its limit in milder words."""

import pytest

from core.synthesis.input_warning import KEY, SHORT, SHORT_SLIGHT, Checked, told, told_short


def of(score: object, limit: object = 3.5) -> dict[str, object]:
    return {KEY: {"T2": {"unlike_training": True, "score": score, "limit": limit}}}


@pytest.mark.parametrize("score", [3.6, 3.9, 4.2])
def test_a_little_beyond_the_limit_is_said_without_alarm(score: float) -> None:
    sentence = Checked("T2", score, 3.5, (), 33).sentence
    assert "a little less like the T2 images" in sentence
    assert f"score {score:.1f}; nearly all of 33 stay below 3.5" in sentence
    assert "check that it is a T2" in sentence
    assert "rely" not in sentence
    assert told_short(of(score)) == SHORT_SLIGHT
    assert told(of(score)).endswith(f"T2, score {score}, limit 3.5. Check the input.")


def test_far_beyond_it_nothing_made_of_the_input_is_to_be_relied_on() -> None:
    assert "do not rely on what is made of it" in Checked("T2", 4.3, 3.5, (), 33).sentence
    assert told_short(of(6.8)) == SHORT
    assert told(of(6.8123, 4.4681)).endswith("T2, score 6.8, limit 4.5. Do not rely on it.")
    both = {KEY: {**of(3.6)[KEY], "iUS": of(9.0)[KEY]["T2"]}}  # type: ignore[dict-item, index]
    assert told_short(both) == SHORT


def test_a_familiar_input_is_not_spoken_of_and_a_strange_record_is_only_shown() -> None:
    assert Checked("T2", 3.5, 3.5, (), 33).sentence == ""
    assert told({}) == told_short({KEY: {"T2": {"unlike_training": False}}}) == ""
    for score, limit in (("much", 3.5), (None, 3.5), ([], {})):
        assert told_short(of(score, limit)) == SHORT
