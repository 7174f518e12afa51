"""Job settings: what is read, what flags change, and how problems are reported."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.job import PROVIDERS, Axis, Flags, Job, Limits, read_job, stem
from batchgen.job.money import TokenPrices
from batchgen.manifest.formats.source import Source, format_of
from batchgen.manifest.formats.yaml_job import load_settings
from batchgen.types import Json, Phase, Rule, Verb


def read(text: str, path: Path, flags: Flags | None = None) -> tuple[Job, list[str]]:
    """Read a job file with this text; return the job and the problems as text."""
    file = path / "job.yaml"
    file.write_text(text)
    form = format_of(file.name)
    assert form is not None
    settings = load_settings(Source(file, "job.yaml", form))
    job, problems = read_job(settings.values, settings.lines, "job.yaml", flags or Flags())
    return job, [str(one) for one in (*settings.problems, *problems)]


def sound(text: str, path: Path, flags: Flags | None = None) -> Job:
    job, problems = read(text, path, flags)
    assert problems == []
    return job


def problem_of(text: str, path: Path, flags: Flags | None = None) -> str:
    _, (problem,) = read(text, path, flags)
    return problem


def test_every_setting_reaches_the_job(tmp_path: Path) -> None:
    job = sound(
        """
name: spring
provider: openai
output: {dir: out/x, filename: "{sku}.{ext}"}
defaults: {model: dall-e-2}
limits: {concurrency: 4, rpm: 120, timeout: 30s, max_cost: 20.00, max_requests: 9,
  deadline: 2h, drain_timeout: 1m, halt_after: 3, max_tasks: 50}
retry: {attempts: 3, backoff: {initial: 50ms, max: 5s, jitter: none}, max_wait: 10m}
matrix:
  style: [ink, oil]
prompts: []
""",
        tmp_path,
    )
    assert (job.name, job.provider.name, job.output_dir) == ("spring", "openai", Path("out/x"))
    assert (job.filename, job.defaults) == ("{sku}.{ext}", {"model": "dall-e-2"})
    assert job.limits == Limits(4, 120.0, 30.0, 20.0, 9, 7200.0, 60.0, 3, 50)
    assert job.matrix == (Axis("style", ("ink", "oil"), 10),)
    retry = job.retry
    assert (retry.attempts, retry.initial_s, retry.max_s) == (3, 0.05, 5.0)
    assert (retry.jitter, retry.max_wait_s) == (False, 600.0)


def test_without_settings_the_name_is_the_files_and_the_limits_have_defaults(
    tmp_path: Path,
) -> None:
    job = sound("prompts: [x]", tmp_path)
    assert (job.name, job.output_dir, job.limits) == ("job", Path("out/job"), Limits())
    assert job.provider == PROVIDERS["aimlapi"]


@pytest.mark.parametrize(
    ("label", "name"),
    [("a/b.csv.gz", "b"), ("b.yaml", "b"), ("<stdin>", "stdin"), ("b.c.d.txt", "b.c")],
)
def test_a_job_is_called_after_its_file(label: str, name: str) -> None:
    assert stem(label) == name


def test_flags_beat_the_job_file(tmp_path: Path) -> None:
    text = "limits: {concurrency: 4, max_cost: 5}\nretry: {attempts: 3}\noutput: {dir: a}"
    flags = Flags(
        output=Path("b"), provider="openai", concurrency=8, attempts=2, max_cost_usd=1.0,
        model="m", parameters={"n": "2"}, deadline_s=5.0, max_tasks=7, timeout_s=3.0,
    )  # fmt: skip
    job = sound(text, tmp_path, flags)
    assert (job.output_dir, job.provider.name, job.retry.attempts) == (Path("b"), "openai", 2)
    assert (job.limits.concurrency, job.limits.max_cost_usd) == (8, 1.0)
    assert (job.limits.deadline_s, job.limits.max_tasks, job.limits.timeout_s) == (5.0, 7, 3.0)
    assert job.overrides == {"n": "2", "model": "m"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("provder: openai", "job.yaml:2: unknown key `provder`; did you mean `provider`?"),
        ("output: {filenam: x}", "job.yaml:2: unknown key `filenam` in `output`; did you"),
        ("limits:\n  concurency: 4", "job.yaml:3: unknown key `concurency` in `limits`; did you"),
        ("limits: {concurrency: 0}", "`limits.concurrency`: 0 is not a whole number from 1 to"),
        ("limits: {concurrency: many}", "'many' is not a whole number"),
        ("limits: {concurrency: true}", "True is not a whole number"),
        ("limits: {concurrency: 1.5}", "1.5 is not a whole number"),
        ("limits: {rpm: -1}", "`limits.rpm`: -1 is not a number above 0"),
        ("limits: {rpm: 1" + "0" * 400 + "}", "is not a number above 0"),
        ("limits: {max_cost: $5}", "'$5' is not an amount of US dollars such as 20.00"),
        ("limits: {deadline: 30}", None),
        ("limits: {deadline: '30'}", "has no unit; write 30s, 30m or 30h"),
        ("limits: {deadline: soon}", "'soon' is not a duration"),
        ("limits: {timeout: 0}", "`limits.timeout`: 0 is not a duration above 0"),
        ("limits: {deadline: 0h}", "`limits.deadline`: '0h' is not a duration above 0"),
        ("limits: {timeouts: {stall: 0s}}", "`limits.timeouts.stall`: '0s' is not a duration abo"),
        ("limits: {polling: {first: 0}}", "`limits.polling.first`: 0 is not a duration above 0"),
        ("limits: {polling: {interval: 0s}}", "`limits.polling.interval`: '0s' is not a durat"),
        ("limits: {polling: {deadline: 0.0}}", "`limits.polling.deadline`: 0.0 is not a durat"),
        ("limits: {polling: {interval: -1}}", "`limits.polling.interval`: the duration '-1'"),
        ("output: {embed_metadata: false}", None),
        ("output: {embed_metadata: true, sidecar: true}", None),
        ("output: {convert: {format: webp, quality: 80, max_side: 512}}", None),
        ("output: {convert: {quality: 80}}", "`output.convert` needs a `format`: webp, jpeg"),
        ("output: {convert: {format: gif}}", "'gif' is not one of webp, jpeg, png, avif"),
        ("output: {embed_metadata: maybe}", "'maybe' is neither true nor false"),
        ("limits: [1]", "`limits`: [1] is not a mapping"),
        ("name: 7", "`name`: 7 is not a text; put it in quotes"),
        ("name: ''", "`name`: '' is not a text"),
        ("defaults: [a]", "`defaults`: ['a'] is not a mapping"),
        ("output: {filename: 'a{b'}", "`output.filename`: `{b` is not a template variable"),
        ("retry: {backoff: {jitter: half}}", "'half' is not one of full, none"),
        ("retry: {rules: {}}", "`retry.rules`: {} is not a list"),
        ("matrix: [a]", "`matrix`: ['a'] is not a mapping"),
        ("matrix: {a: b}", "axis `a` is not a list of values such as [a, b]"),
        ("matrix: {a: []}", "axis `a` is not a list of values such as [a, b]"),
        ("matrix: {a: [x, y, x]}", "axis `a` has 'x' twice"),
        ("matrix: {prompt: [x]}", "`prompt` cannot be an axis"),
        ("matrix: {model: [dall-e-2, 0]}", "axis `model` has 0, which is not a model id"),
        ("matrix: {model: [null, dall-e-3]}", None),
        ("matrix: {model: [{}]}", "axis `model` has {}, which is not a model id"),
        (f"name: {'n' * 300}", "is over 255 bytes long"),
        (f"output: {{dir: a/{'é' * 128}/b}}", "is over 255 bytes long"),
        ('name: "a\\0b"', "`name` has a NUL character"),
        ("defaults: {seed: 0x" + "f" * 5000 + "}", "`defaults.seed` is a number of thousands"),
    ],
)
def test_a_problem_is_reported_with_file_and_line(
    text: str, message: str | None, tmp_path: Path
) -> None:
    _, problems = read(f"\n{text}", tmp_path)
    if message is None:
        assert problems == []
        return
    (problem,) = problems
    assert problem.startswith("job.yaml:")
    assert message in problem


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    _, problems = read("nam: x\nlimits: {rpm: no}\nretry: {attempts: 0}", tmp_path)
    assert [one.split(":")[1] for one in problems] == ["1", "2", "3"]


def test_values_of_different_types_are_different_values_of_an_axis(tmp_path: Path) -> None:
    assert sound("matrix: {a: [1, true, '1', 1.5, null]}", tmp_path).matrix[0].values == (
        1,
        True,
        "1",
        1.5,
        None,
    )


_keys = st.sampled_from(
    ["name", "provider", "providers", "output", "defaults", "limits", "retry", "matrix"]
)
_inner = _keys | st.sampled_from(
    ["dir", "filename", "rpm", "rules", "backoff", "then", "status", "lab", "base_url"]
)
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400)
_values: st.SearchStrategy[Json] = st.recursive(
    _scalars, lambda deep: st.lists(deep, max_size=3) | st.dictionaries(_inner, deep, max_size=3)
)


@given(st.dictionaries(_keys, _values, max_size=4))
def test_settings_of_any_shape_are_read_or_reported(settings: dict[str, Json]) -> None:
    job, problems = read_job(settings, {}, "job.yaml", Flags())
    assert isinstance(job, Job)
    assert all(str(problem).startswith("job.yaml") for problem in problems)


# Rules.


def rules(text: str, path: Path) -> tuple[Rule, ...]:
    return sound(f"retry:\n  rules:\n    - {text}\n", path).retry.rules


@pytest.mark.parametrize(
    ("status", "statuses"),
    [
        ("503", {503}),
        ("'503'", {503}),
        ("4xx", set(range(400, 500))),
        ("5XX", set(range(500, 600))),
        ("[429, 5xx]", {429, *range(500, 600)}),
    ],
)
def test_a_rule_names_a_status_a_class_or_a_list(
    status: str, statuses: set[int], tmp_path: Path
) -> None:
    (rule,) = rules(f"{{status: {status}, then: retry}}", tmp_path)
    assert set(rule.statuses or ()) == statuses


def test_a_rule_without_a_status_applies_to_any(tmp_path: Path) -> None:
    (rule,) = rules("{code: model_busy, then: retry, after: 10s, attempts: 2}", tmp_path)
    assert (rule.statuses, rule.code, rule.after_s, rule.attempts) == (None, "model_busy", 10.0, 2)


def test_a_rule_may_name_a_model_a_text_and_a_phase(tmp_path: Path) -> None:
    (rule,) = rules("{model: flux/*, text: busy, phase: download, then: fail}", tmp_path)
    assert (rule.model, rule.text, rule.phases) == (
        "flux/*",
        ("busy",),
        frozenset({Phase.DOWNLOAD}),
    )


@pytest.mark.parametrize("verb", ["retry", "fail", "refuse", "halt"])
def test_a_rule_names_its_decision(verb: str, tmp_path: Path) -> None:
    (rule,) = rules(f"{{status: 418, then: {verb}}}", tmp_path)
    assert rule.verb is Verb(verb)
    assert rule.kind


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{status: 503}", "a rule needs `then`: retry, fail, refuse or halt"),
        ("{status: 503, then: retri}", "'retri' is not one of retry, fail, refuse, halt; did you"),
        ("{status: 99, then: retry}", "99 is neither a status such as 503 nor a class such as 5xx"),
        ("{status: 6xx, then: retry}", "'6xx' is neither a status"),
        ("{status: true, then: retry}", "True is neither a status"),
        ("{status: [], then: retry}", "the list is empty"),
        ("{code: 7, then: retry}", "7 is not a text; put it in quotes"),
        ("{after: x, then: retry}", "'x' is not a duration"),
        ("{attempts: 0, then: retry}", "0 is not a whole number from 1 to 1000"),
        ("{stauts: 503, then: retry}", "unknown key `stauts`"),
        ("503", "is 503, not a mapping of keys"),
    ],
)
def test_an_invalid_rule_is_reported_at_its_line(rule: str, message: str, tmp_path: Path) -> None:
    _, problems = read(f"retry:\n  rules:\n    - {rule}", tmp_path)
    assert problems[0].startswith("job.yaml:3: ")
    assert message in problems[0]


# Providers.

LAB = """
provider: lab
providers:
  lab: {base_url: "http://127.0.0.1:8000/v1", api_key_env: LAB_KEY, idempotency_header: X-Once}
"""


def test_a_job_may_define_its_own_provider(tmp_path: Path) -> None:
    provider = sound(LAB, tmp_path).provider
    assert (provider.base_url, provider.key_variables) == ("http://127.0.0.1:8000/v1", ("LAB_KEY",))
    assert (provider.needs_key, provider.idempotency_header) == (True, "X-Once")


def test_a_provider_of_the_job_needs_no_key_unless_it_names_one(tmp_path: Path) -> None:
    text = LAB.replace("api_key_env: LAB_KEY, idempotency_header: X-Once", "")
    provider = sound(text, tmp_path).provider
    assert (provider.needs_key, provider.key_variables) == (False, ("LAB_API_KEY",))
    assert provider.key({"LAB_API_KEY": " abc "}) == "abc"


def test_a_provider_may_have_no_idempotency_header(tmp_path: Path) -> None:
    provider = sound(LAB.replace("X-Once", "none"), tmp_path).provider
    assert provider.idempotency_header is None


def test_the_first_variable_that_holds_a_key_is_read() -> None:
    provider = PROVIDERS["aimlapi"]
    assert provider.key({"AIML_API_KEY": "b", "AIMLAPI_API_KEY": " "}) == "b"
    assert provider.key({}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("provider: openia", "job.yaml:1: unknown provider `openia`; did you mean `openai`?"),
        ("provider: zzz", "the providers are aimlapi, openai, simulator"),
        ("provider: lab\nproviders: {lab: {}}", "job.yaml:2: provider `lab` needs a `base_url`"),
        ("providers: {lab: {base_url: host/v1}}", "`host/v1` is not an http(s) URL such as"),
        ("providers: {lab: {base_url: 'ftp://h'}}", "is not an http(s) URL"),
        ("providers: {lab: {base_url: 'http://[::1'}}", "is not an http(s) URL"),
        ("providers: {lab: {base_url: 'http://h:99999'}}", "is not an http(s) URL"),
        ("providers: {openai: {base_url: 'http://h'}}", "provider `openai` is built in"),
        ("providers: {lab: {base_url: 'http://h', api_key: x}}", "did you mean `api_key_env`?"),
        ("providers: {lab: 'http://h'}", "not a mapping of keys"),
    ],
)
def test_an_invalid_provider_is_reported(text: str, message: str, tmp_path: Path) -> None:
    _, problems = read(text, tmp_path)
    assert message in problems[0]


@pytest.mark.parametrize(
    "provider",
    [
        "{base_url: 'https://me:SECRET@host/v1'}",
        "{base_url: 'ftp://me:SECRET@host'}",
        "{base_url: 'https://host/v1?key=SECRET'}",
        "{base_url: 'https://host/v1', api_key_env: sk-SECRET}",
    ],
)
def test_a_secret_in_a_job_is_refused_and_not_repeated(provider: str, tmp_path: Path) -> None:
    job, problems = read(f"provider: lab\nproviders: {{lab: {provider}}}", tmp_path)
    assert len(problems) == 1
    assert "SECRET" not in problems[0] + repr(job)


def test_flags_choose_the_provider_and_its_base_url(tmp_path: Path) -> None:
    flags = Flags(provider="lab", base_url="http://h:1/v1", api_key_env="OTHER")
    provider = sound(LAB.replace("provider: lab\n", ""), tmp_path, flags).provider
    assert (provider.name, provider.base_url) == ("lab", "http://h:1/v1")
    assert (provider.key_variables, provider.needs_key) == (("OTHER",), True)


def test_a_base_url_replaces_the_simulator(tmp_path: Path) -> None:
    flags = Flags(provider="simulator", base_url="http://127.0.0.1:9")
    assert sound("prompts: [x]", tmp_path, flags).provider.name == "custom"


RICH = """
provider: lab
providers:
  lab:
    base_url: https://lab.example/v1
    api_key_env: LAB_KEY
    idempotency_header: off
    client_id_header: X-Client-Request-Id
    headers: {X-Team: "${TEAM}", X-Plain: batch}
    paths: {images: /v1/img}
    ca_file: certs/lab.pem
"""


def test_a_provider_may_name_headers_paths_and_certificates(tmp_path: Path) -> None:
    provider = sound(RICH, tmp_path).provider
    assert (provider.idempotency_header, provider.client_id_header) == (None, "X-Client-Request-Id")
    assert provider.headers == {"X-Team": "${TEAM}", "X-Plain": "batch"}
    assert provider.paths == {"images": "/v1/img"}
    assert provider.ca_file == Path("certs/lab.pem")  # beside the job


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("headers: {X-Api-Key: sk-1}", "holds a secret: use a variable, as in X-Api-Key:"),
        ("headers: {Host: x}", "`headers.Host` is set by the HTTP client"),
        ("headers: {Expect: 100-continue}", "`headers.Expect` is set by the HTTP client"),
        ("headers: {'a b': x}", "`headers.a b` is not a valid header name"),
        (
            'headers: {X-N: "a\\nb"}',
            "`headers.X-N`: the value has characters that a header cannot have",
        ),
        (
            "headers: {X-N: café}",
            "`headers.X-N`: the value has characters that a header cannot have",
        ),
        ("headers: {X-N: 7}", "the value is not a text; put it in quotes"),
        ("paths: {imgs: /v1/img}", "`paths.imgs` is not an endpoint; they are images"),
        ("paths: {images: 'http://h/x'}", "is not a path below the host, such as /v1/img"),
        ("idempotency_header: 'a b'", "'a b' is not a header's name such as Idempotency-Key"),
        ("insecure: maybe", "'maybe' is neither true nor false"),
    ],
)
def test_an_invalid_setting_of_a_provider_is_reported(
    keys: str, message: str, tmp_path: Path
) -> None:
    _, problems = read(f"providers: {{lab: {{base_url: 'https://h', {keys}}}}}", tmp_path)
    assert len(problems) == 1
    assert message in problems[0]
    assert "sk-1" not in problems[0]


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "[::1]", "10.1.2.3", "192.168.0.9", "gpu.local", "a.b.internal",
     "gpu7", "api.localhost", "[fe80::1]"],
)  # fmt: skip
def test_plain_http_to_a_private_host_is_accepted(host: str, tmp_path: Path) -> None:
    flags = Flags(base_url=f"http://{host}:8000/v1")
    assert sound("prompts: [x]", tmp_path, flags).provider.base_url == flags.base_url


@pytest.mark.parametrize(
    "host", ["api.example.com", "8.8.8.8", "134744072", "0x08080808", "local.example", "[2600::1]"]
)
def test_plain_http_to_a_public_host_is_refused(host: str, tmp_path: Path) -> None:
    message = problem_of("prompts: [x]", tmp_path, Flags(base_url=f"http://{host}/v1"))
    assert "--base-url: " in message
    assert "use https://" in message


def test_a_provider_of_the_job_may_allow_insecure_http(tmp_path: Path) -> None:
    lab = "{base_url: 'http://api.example.com', insecure: true}"
    provider = sound(f"provider: lab\nproviders: {{lab: {lab}}}", tmp_path).provider
    assert provider.base_url == "http://api.example.com"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (Flags(provider="x"), "--provider: unknown provider `x`"),
        (Flags(base_url="host"), "--base-url: `host` is not an http(s) URL"),
        (Flags(base_url="http://a:b@h"), "--base-url: a URL must not contain a key"),
        (Flags(api_key_env="sk-1"), "--api-key-env: give the name of an environment variable"),
        (Flags(parameters={"prompt": "x"}), "--set prompt: this key belongs to a row"),
        (Flags(parameters={"user": "\udcff"}), "--set user: `user` has \\udcff"),
    ],
)
def test_an_invalid_flag_is_reported_by_its_name(
    flags: Flags, message: str, tmp_path: Path
) -> None:
    assert problem_of("prompts: [x]", tmp_path, flags).startswith(message)


def test_prices_are_per_result_or_per_million_tokens(tmp_path: Path) -> None:
    job = sound(
        "prices: {flux/dev: 0.03, chat: {input: 2.5, output: 10}, vectors: {input: 1}}\n"
        "prompts: []\n",
        tmp_path,
    )
    assert job.prices == {"flux/dev": 0.03}
    assert job.token_prices == {"chat": TokenPrices(2.5, 10), "vectors": TokenPrices(1, 0)}


@pytest.mark.parametrize("price", ["{output: 1}", "{input: a}", "{input: 1, of: 2}", "-1", "true"])
def test_an_invalid_price_is_reported(tmp_path: Path, price: str) -> None:
    problem = problem_of(f"prices: {{m: {price}}}\nprompts: []\n", tmp_path)
    assert "nor per million tokens such as {input: 2.50, output: 10.00}" in problem
