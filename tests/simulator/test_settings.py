import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import UsageError
from batchgen.simulator.settings import Latency, parse_faults, parse_latency


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", Latency(0.25)),
        ("1.5s", Latency(1.5)),
        ("2s±0.5", Latency(2.0, 0.5)),
        ("2s+-0.5", Latency(2.0, 0.5)),
        ("2s ± 250ms", Latency(2.0, 0.25)),
        ("0s", Latency()),
    ],
)
def test_latencies_are_parsed_with_their_spread(text: str, expected: Latency) -> None:
    assert parse_latency(text) == expected


@pytest.mark.parametrize("text", ["", "2", "fast", "-1s", "2s±", "1s±2", "2 weeks", "٢s"])
def test_an_invalid_latency_is_reported(text: str) -> None:
    with pytest.raises(UsageError, match="latency"):
        parse_latency(text)


@given(mean=st.floats(0, 100), part=st.floats(0, 1), share=st.floats(0, 1))
def test_a_latency_stays_within_its_spread(mean: float, part: float, share: float) -> None:
    latency = Latency(mean, mean * part)
    slack = 1e-9
    drawn = latency.at(share)
    assert max(0, mean - latency.spread_s) - slack <= drawn <= mean + latency.spread_s + slack


def test_faults_are_parsed_with_their_shares() -> None:
    faults = parse_faults("429=0.1, 500=0.02,reset=0.01,html=0.01,file404=1")
    assert faults == {"429": 0.1, "500": 0.02, "reset": 0.01, "html": 0.01, "file404": 1}
    assert parse_faults("") == {}


def test_ten_faults_of_a_tenth_are_not_too_many() -> None:
    names = ("429", "500", "502", "503", "504", "reset", "lost", "html", "empty", "text")
    assert len(parse_faults(",".join(f"{name}=0.1" for name in names))) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("429", "needs a share"),
        ("429=2", "between 0 and 1"),
        ("429=nan", "between 0 and 1"),
        ("429=often", "between 0 and 1"),
        ("99=0.1", "HTTP status from 200 to 599"),
        ("42=0.1", "did you mean 429"),
        ("boom=0.1", "reset, lost"),
        ("rest=0.1", "did you mean reset"),
        ("429=0.1,429=0.1", "given twice"),
        ("429=0.6,500=0.6", "add up to 1.2"),
    ],
)
def test_an_invalid_fault_is_reported(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_faults(text)
