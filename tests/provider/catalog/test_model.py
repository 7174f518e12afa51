"""Messages about parameters, and the translation of requests to a model's own names and types."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.provider import catalog
from batchgen.types import Json, Severity, Tokens

DEV = "flux/dev"
PRESETS = "square_hd, square, portrait_4_3, portrait_16_9, landscape_4_3, landscape_16_9"
MORE_IMAGES = "for more images use `repeat:` or several rows"


def model(model_id: str, provider: str = "aimlapi") -> catalog.Model:
    model = catalog.find(model_id, provider)
    assert model is not None
    return model


def messages(model_id: str, params: dict[str, Any], provider: str = "aimlapi") -> list[str]:
    findings = model(model_id, provider).check(params)
    assert all(finding.severity is Severity.ERROR for finding in findings)
    return [finding.message for finding in findings]


@pytest.mark.parametrize(
    ("model_id", "params", "message"),
    [
        (
            "stable-diffusion-v35-large",
            {"guidence_scale": 3},
            (
                "`guidence_scale` is not a parameter of stable-diffusion-v35-large;"
                " did you mean `guidance_scale`?"
            ),
        ),
        (
            DEV,
            {"image_size": {"width": 1000, "height": 512}},
            "`image_size` width 1000 is not a multiple of 32; use 992 or 1024",
        ),
        (
            "flux-pro",
            {"image_size": {"width": 512, "height": 250}},
            "`image_size` height is 250; flux-pro takes 256 to 1440, multiples of 32",
        ),
        (
            DEV,
            {"image_size": "squarehd"},
            (
                f"`image_size` squarehd is not one of {PRESETS} or {{width, height}}"
                " (512 to 1536, multiples of 32); did you mean `square_hd`?"
            ),
        ),
        (DEV, {"n": 2}, "`n` is called `num_images` in flux/dev; give only that one"),
        (DEV, {"siz": 1}, "`siz` is not a parameter of flux/dev; did you mean `size`?"),
        (DEV, {"sed": 1}, "`sed` is not a parameter of flux/dev; did you mean `seed`?"),
        (DEV, {"promt": "x"}, "`promt` is not a parameter of flux/dev; did you mean `prompt`?"),
        (DEV, {"num_images": 4001}, f"`num_images` is 4001; flux/dev takes 1 to 4; {MORE_IMAGES}"),
        ("dall-e-2", {"n": 0}, "`n` is 0; dall-e-2 takes 1 to 10"),
        ("dall-e-3", {"n": 1001}, f"`n` is 1001; dall-e-3 takes 1; {MORE_IMAGES}"),
        (
            "reve/create-image",
            {"n": 1001},
            (
                "`n` is not a parameter of reve/create-image, which makes one image per request;"
                f" {MORE_IMAGES}"
            ),
        ),
        (
            "dall-e-2",
            {"size": "300x300"},
            "`size` 300x300 is not one of 1024x1024, 512x512, 256x256",
        ),
        (DEV, {"seed": 0}, "`seed` is 0; flux/dev takes 1 or more"),
        (DEV, {"seed": "abc"}, "`seed` is the text abc; flux/dev takes a whole number, 1 or more"),
        (DEV, {"guidance_scale": 25}, "`guidance_scale` is 25; flux/dev takes 1 to 20"),
        (
            "flux-pro",
            {"safety_tolerance": 2},
            "`safety_tolerance` is the number 2; flux-pro takes it as text: '2'",
        ),
        (
            "recraft-v3",
            {"colors": [{"r": 1, "g": 2, "b": 300}]},
            "`colors[0].b` is 300; recraft-v3 takes 0 to 255",
        ),
        (
            "recraft-v3",
            {"colors": [{"r": 1}]},
            "`colors[0]` has no `g`; recraft-v3 takes {r, g, b}",
        ),
        (
            "dall-e-3",
            {"width": 1024, "height": 1024},
            (
                "`width` and `height` are not parameters of dall-e-3; set the size with"
                " `size: 1024x1024`"
            ),
        ),
        (
            DEV,
            {"width": 512, "image_size": "square"},
            "`width` is not a parameter of flux/dev; `image_size` already sets the size",
        ),
        (
            "flux-pro/v1.1-ultra",
            {"image_size": "square"},
            (
                "`image_size` is not a parameter of flux-pro/v1.1-ultra; set the size with"
                " `aspect_ratio`: 21:9, 16:9, 4:3, 3:2, 1:1, 2:3, 3:4, 9:16, 9:21"
            ),
        ),
        (
            "flux/dev/image-to-image",
            {"image_url": 7},
            "`image_url` is 7; flux/dev/image-to-image takes a URL or a file",
        ),
        (
            "flux/dev/image-to-image",
            {"image_url": None},
            "`image_url` is missing; flux/dev/image-to-image needs it: a URL or a file",
        ),
        (
            "flux/schnell",
            {"image": "cat.png"},
            (
                "`image` is not a parameter of flux/schnell, which takes no input image;"
                " `batchgen models` lists models that do"
            ),
        ),
        (
            "bytedance/seedream-3.0",
            {"size": "300x600"},
            "`size` width is 300; bytedance/seedream-3.0 takes 512 to 2048",
        ),
    ],
)
def test_a_message_says_what_is_wrong_and_what_is_accepted(
    model_id: str, params: dict[str, Any], message: str
) -> None:
    assert message in messages(model_id, params)


def test_what_only_the_spec_of_2025_05_allows_is_a_warning() -> None:
    findings = model("dall-e-2").check({"size": "1792x1024", "quality": "hd"})
    assert [finding.severity for finding in findings] == [Severity.WARNING] * 2
    assert findings[0].message == (
        "`size` 1792x1024 is in dall-e-2's spec of 2025-05 but not in the one of 2026-08"
        " (1024x1024, 512x512, 256x256); it is sent as given"
    )
    assert findings[1].message == (
        "`quality` is in dall-e-2's spec of 2025-05 but not in the one of 2026-08;"
        " it is sent as given"
    )


def test_null_counts_as_absent() -> None:
    assert model(DEV).check({"seed": None, "image_size": None, "strength": None}) == ()


@pytest.mark.parametrize(
    ("model_id", "length", "message"),
    [
        ("dall-e-3", 4012, "prompt is 4012 characters; dall-e-3 takes at most 4000"),
        (DEV, 0, "flux/dev needs a prompt"),
        ("topaz-labs/sharpen", 3, "topaz-labs/sharpen takes no prompt; leave it out"),
    ],
)
def test_a_prompt_of_the_wrong_length_is_an_error(model_id: str, length: int, message: str) -> None:
    finding = model(model_id).check_prompt("x" * length)
    assert finding == catalog.Finding(Severity.ERROR, message)


def test_a_prompt_that_only_one_spec_allows_is_a_warning() -> None:
    finding = model("dall-e-2").check_prompt("x" * 1001)
    assert finding is not None
    assert finding.severity is Severity.WARNING


def test_a_prompt_may_be_missing_if_the_model_does_not_need_one() -> None:
    assert model("beeble/switchx-image-to-image").check_prompt("") is None
    assert model("topaz-labs/sharpen").check_prompt("") is None
    assert not model("topaz-labs/sharpen").prompt_required


@pytest.mark.parametrize(
    ("model_id", "params", "translated"),
    [
        (DEV, {"n": 2}, {"num_images": 2}),
        (DEV, {"count": 2.0}, {"num_images": 2}),
        (DEV, {"n": 2, "num_images": 2}, {"num_images": 2}),
        (DEV, {"n": 2, "num_images": 3}, {"n": 2, "num_images": 3}),
        ("dall-e-3", {"num_images": 1}, {"n": 1}),
        ("reve/create-image", {"n": 1}, {}),
        ("reve/create-image", {"n": 2}, {"n": 2}),
        (DEV, {"size": "1024x768"}, {"image_size": {"width": 1024, "height": 768}}),
        (DEV, {"image_size": "1024x768"}, {"image_size": {"width": 1024, "height": 768}}),
        ("alibaba/qwen-image-2-0", {"image": []}, {"image_urls": []}),
        ("alibaba/qwen-image-2-0", {"image": "a.png"}, {"image_urls": ["a.png"]}),
        ("flux/dev/image-to-image", {"images": ["a.png"]}, {"image_url": "a.png"}),
        ("flux/dev/image-to-image", {"images": ["a.png", "b.png"]}, {"images": ["a.png", "b.png"]}),
        (DEV, {"size": "1024x768", "image_size": "square"}, None),
        (DEV, {"size": "large"}, None),
        ("dall-e-3", {"image_size": {"width": 1024, "height": 1024}}, {"size": "1024x1024"}),
        ("flux-pro/v1.1-ultra", {"size": "1024x768"}, None),
        ("flux-pro", {"safety_tolerance": 2}, {"safety_tolerance": "2"}),
        ("flux-pro", {"seed": 7.0}, {"seed": 7}),
        ("flux-pro", {"seed": 7.5}, None),
        ("flux-pro", {"strange": [1]}, None),
    ],
)
def test_a_request_is_translated_to_the_models_names_without_loss(
    model_id: str, params: dict[str, Any], translated: dict[str, Any] | None
) -> None:
    assert model(model_id).normalise(params) == (params if translated is None else translated)


@pytest.mark.parametrize(
    ("model_id", "name", "text", "value"),
    [
        (DEV, "num_images", "2", 2),
        (DEV, "n", "2", 2),
        (DEV, "seed", "42", 42),
        (DEV, "seed", "42.0", 42),
        (DEV, "seed", "forty", "forty"),
        (DEV, "guidance_scale", "3.5", 3.5),
        (DEV, "enable_safety_checker", "TRUE", True),
        (DEV, "enable_safety_checker", "1", "1"),
        (DEV, "image_size", "square_hd", "square_hd"),
        (DEV, "image_size", "1024x768", {"width": 1024, "height": 768}),
        (DEV, "image_size", '{"width": 512, "height": 512}', {"width": 512, "height": 512}),
        (DEV, "size", "1024x768", "1024x768"),
        ("dall-e-3", "size", "1024x1024", "1024x1024"),
        ("flux-pro", "safety_tolerance", "2", "2"),
        ("beeble/switchx-image-to-image", "max_resolution", "720", 720),
        ("alibaba/qwen-image", "negative_prompt", "7", "7"),
        ("reve/remix-edit-image", "image_urls", '["https://a.test/b"]', ["https://a.test/b"]),
        ("flux/kontext-pro/image-to-image", "image_url", "https://a.test/b", "https://a.test/b"),
        (DEV, "sku", "007", "007"),
    ],
)
def test_text_is_parsed_as_the_type_of_its_parameter(
    model_id: str, name: str, text: str, value: Json
) -> None:
    parsed = model(model_id).from_text(name, text)
    assert (type(parsed), parsed) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ('{"width": 512}', {"width": 512}),
        ("[1, 2]", [1, 2]),
        ('"42"', "42"),
        ("16:9", "16:9"),
        ("1024x1024", "1024x1024"),
        ("007", "007"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("a fox", "a fox"),
        ("", ""),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_text_of_unknown_type_is_json_or_text(text: str, value: Json) -> None:
    parsed = catalog.text_value(text)
    assert (type(parsed), parsed) == (type(value), value)


def test_a_price_covers_all_images_of_a_request() -> None:
    assert model("flux/schnell").price({}) == 0.004
    assert model("flux/schnell").price({"num_images": 3}) == pytest.approx(0.012)
    assert model("flux/schnell").price({"num_images": "3"}) is None
    assert model("flux/schnell").price({"num_images": 0}) is None


def test_an_unknown_price_is_none_and_never_zero() -> None:
    unpriced = [m for m in catalog.models() if m.fixed_price is None and m.token_price is None]
    assert unpriced
    assert all(m.price({}) is None and m.price_source is None for m in unpriced)
    assert all(m.price({}) is None for m in catalog.models("openai"))


def test_openai_has_a_table_of_its_own() -> None:
    assert catalog.find("gpt-image-1") is None
    assert model("gpt-image-1", "openai").count_max == 10
    assert catalog.find("flux/dev", "openai") is None
    assert catalog.find("flux/dev", "lab") is catalog.find("flux/dev")
    assert messages("gpt-image-1", {"response_format": "url"}, "openai")
    assert messages("gpt-image-2", {"background": "transparent"}, "openai")


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ("auto", True),
        ("3840x2160", True),
        ("2160x3840", True),
        ("1000x1024", False),
        ("3840x1264", False),
        ("3840x1280", True),
        ("3840x2176", False),
        ("3856x2160", False),
        ("large", False),
    ],
)
def test_gpt_image_2_takes_any_size_within_bounds(size: str, *, fits: bool) -> None:
    assert (messages("gpt-image-2", {"size": size}, "openai") == []) is fits


def test_size_limits_that_the_spec_has_in_prose_are_checked() -> None:
    for size in ("512x512", "2048x2048", "512x2048"):
        assert messages("bytedance/seedream-3.0", {"size": size}) == []
    for size in ("511x512", "2048x2049", "0512x512", "512 x 512"):
        assert messages("bytedance/seedream-3.0", {"size": size})


def test_a_misspelt_model_has_a_suggestion() -> None:
    assert catalog.suggest("flux/shnell") == "flux/schnell"
    assert catalog.suggest("gpt-image-1") == "openai/gpt-image-1"
    assert catalog.suggest("FLUX/dev") == "flux/dev"
    assert catalog.suggest("dalle-3", "openai") == "dall-e-3"
    assert catalog.suggest("nothing like it at all") is None


def test_aliases_are_the_same_model() -> None:
    assert catalog.find("google/nano-banana-pro") is catalog.find(
        "google/gemini-3-pro-image-preview"
    )


def test_parameter_names_are_those_of_every_model() -> None:
    names = catalog.parameter_names()
    assert {"num_images", "n", "image_size", "seed", "style", "moderation"} <= names
    assert "prompt" not in names


def test_a_model_names_its_count_and_size_keys() -> None:
    assert (model(DEV).count_key, model(DEV).count_max) == ("num_images", 4)
    assert (model("dall-e-3").count_key, model("dall-e-3").count_max) == ("n", 1)
    assert (model("reve/edit-image").count_key, model("reve/edit-image").count_max) == (None, 1)
    assert model("google/nano-banana-2").size_keys == ("aspect_ratio", "resolution")


ALL = [*catalog.models(), *catalog.models("openai")]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
SIDES = st.dictionaries(st.sampled_from(["width", "height"]), JSON)
NAMES = st.sampled_from(sorted(catalog.parameter_names())) | st.sampled_from(["count", "width"])


@given(st.sampled_from(ALL), st.dictionaries(NAMES | st.text(), JSON | SIDES))
def test_any_json_is_checked_without_a_crash(model: catalog.Model, params: dict[str, Json]) -> None:
    for finding in model.check(params) + model.check(model.normalise(params)):
        assert finding.message
    model.price(params)


@given(st.sampled_from(ALL), st.dictionaries(NAMES, JSON | SIDES))
def test_translating_a_request_twice_changes_nothing_more(
    model: catalog.Model, params: dict[str, Json]
) -> None:
    once = model.normalise(params)
    assert repr(model.normalise(once)) == repr(once)


@given(st.sampled_from(ALL), NAMES, st.text() | st.integers().map(str))
def test_any_text_is_parsed_without_a_crash(model: catalog.Model, name: str, text: str) -> None:
    model.check({name: model.from_text(name, text)})


@given(st.integers(16, 48), st.integers(16, 48))
def test_a_valid_size_passes_from_text_to_check(wide: int, high: int) -> None:
    text = f"{wide * 32}x{high * 32}"
    dev = model(DEV)
    for name in ("size", "image_size"):
        assert dev.check(dev.normalise({name: dev.from_text(name, text)})) == ()


@pytest.mark.parametrize(
    ("model_id", "params", "parts"),
    [
        (DEV, {"num_images": 4}, [{"num_images": 4}]),
        (DEV, {"num_images": 9}, [{"num_images": 4}, {"num_images": 4}, {"num_images": 1}]),
        (
            DEV,
            {"num_images": 5, "seed": 7},
            [{"num_images": 4, "seed": 7}, {"num_images": 1, "seed": 8}],
        ),
        ("dall-e-3", {"n": 2, "style": "vivid"}, [{"n": 1, "style": "vivid"}] * 2),
        ("reve/create-image", {"n": 2}, [{}, {}]),
        (DEV, {}, [{}]),
    ],
)
def test_a_count_above_the_maximum_is_split(
    model_id: str, params: dict[str, Any], parts: list[dict[str, Any]]
) -> None:
    model = catalog.find(model_id)
    assert model is not None
    assert model.check(params) == ()
    assert list(model.split(params)) == parts


def test_the_last_seed_of_a_split_stays_within_the_models_limits() -> None:
    model = catalog.find("alibaba/wan2.2-t2i-flash")
    assert model is not None
    seeds = [params["seed"] for params in model.split({"num_images": 5, "seed": 2147483647})]
    assert seeds == [2147483647, 2147483646]


def test_the_price_of_a_split_count_is_that_of_all_images() -> None:
    model = catalog.find("reve/create-image")
    assert model is not None
    assert model.price({"n": 3}) == pytest.approx(3 * 0.063)


def test_tokens_have_a_cost_if_their_price_is_known() -> None:
    known, unknown = (catalog.find(name, "openai") for name in ("gpt-image-1", "gpt-image-2"))
    assert known is not None
    assert unknown is not None
    tokens = Tokens(text_input=100, image_input=1000, output=4160)
    assert known.token_cost(tokens) == pytest.approx(0.0005 + 0.01 + 0.1664)
    assert known.token_cost(None) is None
    assert unknown.token_cost(tokens) is None


def test_a_model_may_have_another_name_for_the_prompt() -> None:
    named = {
        name: listed.prompt.name
        for name in ("veo2", "openai/tts-1", "music-01", "voyage-2")
        if (listed := model(name)).prompt
    }
    assert named == {
        "veo2": "prompt",
        "openai/tts-1": "text",
        "music-01": "lyrics",
        "voyage-2": "input",
    }
    (finding,) = model("openai/tts-1").check({"text": "Good morning"})
    assert "give it as the row's `prompt`, which is sent as `text`" in finding.message


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        (
            "o3-mini",
            {"reasoning_effort": "low", "seed": 1, "image_url": "https://a.test/a.png"},
            None,
        ),
        ("o3-mini", {"seed": 0}, "`seed` is 0; o3-mini takes 1 or more"),
        ("o3-mini", {"thinking": {}}, "`thinking` is not a parameter of o3-mini;"),
        ("gpt-4o-audio-preview", {"audio": {"voice": "alloy", "format": "mp3"}}, None),
        ("gpt-4o-audio-preview", {"audio": {"voice": "alloy"}}, "`audio` has no `format`;"),
        ("claude-3-7-sonnet-20250219", {"system": "Be brief.", "stop_sequences": ["."]}, None),
        ("claude-3-7-sonnet-20250219", {"temperature": 1.5}, "`temperature` is 1.5;"),
        ("claude-3-7-sonnet-20250219", {"stop": "."}, "`stop` is not a parameter of"),
        ("claude-3-7-sonnet-20250219", {"image": "https://a.test/a.png"}, "`image` is not"),
        (
            "claude-3-7-sonnet-20250219",
            {"messages": [{"role": "system", "content": "Be brief."}]},
            "`messages[0].role` system is not one of user, assistant",
        ),
    ],
)
def test_a_chat_model_takes_the_parameters_of_its_own_spec(
    name: str, params: dict[str, Any], message: str | None
) -> None:
    texts = messages(name, params)
    assert [text[: len(message or "")] for text in texts] == ([message] if message else [])


def test_one_of_several_inputs_is_enough() -> None:
    transcriber = model("nova-3")
    assert transcriber.check({"url": "https://example.test/a.wav"}) == ()
    assert transcriber.check({"audio": "talks/a.wav"}) == ()
    (finding,) = transcriber.check({})
    assert finding.message == "`url` or `audio` is missing; nova-3 needs one of them"


def test_a_price_per_second_is_multiplied_by_the_seconds() -> None:
    video = model("kling-video/v1/standard/image-to-video")
    assert video.price({}) == pytest.approx(5 * 0.0315)
    assert video.price({"duration": 10}) == pytest.approx(0.315)
    assert video.price({"duration": "long"}) is None
    assert model("stable-audio").price({"steps": 50}) == pytest.approx(0.0063)


def test_ids_of_2025_05_find_the_current_model() -> None:
    assert model("#g1_nova-2-meeting") is model("nova-2-general")
    assert model("gpt-4o").id == "openai/gpt-4o"
    old_model = model("wan/v2.1/1.3b/text-to-video")
    assert (old_model.family, old_model.path) == ("video", "/v2/generate/video/alibaba/generation")


def test_openais_gpt_image_refuses_a_response_format_because_it_always_returns_base64() -> None:
    lead = "`response_format` is not a parameter of "
    for name in ("gpt-image-1", "gpt-image-2"):
        (message,) = messages(name, {"response_format": "url"}, "openai")
        assert message == f"{lead}{name}, which always returns base64; leave it out"
    (other,) = messages("flux-pro", {"response_format": "url"})
    assert "base64" not in other


def test_a_row_for_the_spec_of_2025_05_needs_no_new_parameters() -> None:
    model = catalog.find("video-01-live2d")
    assert model is not None
    findings = model.check({"first_frame_image": "https://x/a.png"})
    assert [finding.severity for finding in findings] == [Severity.WARNING]
    assert "`image_url` is missing" in model.check({})[0].message


def test_transcription_models_of_2025_05_take_a_url_or_a_file() -> None:
    model = catalog.find("#g1_whisper-large")
    assert model is not None
    assert model.check({"url": "https://x/a.mp3"}) == model.check({"audio": "a.mp3"}) == ()
    assert "`url` or `audio` is missing" in model.check({})[0].message


def test_a_text_may_be_too_short() -> None:
    model = catalog.find("minimax/music-1.5")
    assert model is not None
    (finding,) = model.check({"lyrics": "La la"})
    assert finding.message == "`lyrics` is 5 characters; minimax/music-1.5 takes 10 to 3000"
    short = model.check_prompt("A waltz")
    assert short is not None
    assert short.message == "prompt is 7 characters; minimax/music-1.5 takes at least 10"
