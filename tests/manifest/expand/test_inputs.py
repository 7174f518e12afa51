"""Input files that rows name: their folders, and their part in a task's identity."""

from pathlib import Path

import pytest

from batchgen.job import Flags
from batchgen.manifest.open import open_manifest, source_of
from batchgen.types import LocalFile, Problem, Task
from tests.given import a_png

EDIT = "flux/dev/image-to-image"
SEVERAL = "bytedance/seedream-v4-edit"


def read(path: Path, text: str, **flags: object) -> list[Task | Problem]:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return list(open_manifest(source_of(str(path), None, None), Flags(**flags)).tasks())  # type: ignore[arg-type]  # names of flags


def only_task(path: Path, text: str, **flags: object) -> Task:
    (item,) = read(path, text, **flags)
    assert isinstance(item, Task), str(item)
    return item


def problem(path: Path, text: str, **flags: object) -> str:
    (item,) = read(path, text, **flags)
    assert isinstance(item, Problem)
    return item.message


def file_of(task: Task, name: str = "image_url") -> LocalFile:
    file = task.inputs[name]
    assert isinstance(file, LocalFile)
    return file


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name in ("cat.png", "shop/dog.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(a_png())
    return tmp_path


def test_a_path_is_relative_to_the_file_that_names_it(shop: Path) -> None:
    (shop / "shop" / "rows.csv").write_text("prompt,image_url\nA dog,dog.png\n")
    job = f"defaults: {{model: {EDIT}}}\nprompts: [{{from: shop/rows.csv}}]\n"
    assert file_of(only_task(shop / "job.yaml", job)).path == (shop / "shop/dog.png").resolve()

    (shop / "shop" / "rows.csv").write_text("prompt\nA cat\n")
    job = f"defaults: {{model: {EDIT}, image_url: cat.png}}\nprompts: [{{from: shop/rows.csv}}]\n"
    assert file_of(only_task(shop / "job.yaml", job)).path == (shop / "cat.png").resolve()


def test_a_path_of_a_flag_is_relative_to_the_current_folder(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    task = only_task(
        Path("rows.csv"), "prompt\nA cat\n", model=EDIT, parameters={"image": "shop/dog.png"}
    )
    assert file_of(task).path == (shop / "shop/dog.png").resolve()


def test_an_edited_image_changes_the_digest_and_a_renamed_one_does_not(shop: Path) -> None:
    rows = "id,prompt,image_url\nhero,A cat,{}\n"
    before = only_task(shop / "rows.csv", rows.format("cat.png"), model=EDIT)
    renamed = only_task(shop / "rows.csv", rows.format("shop/dog.png"), model=EDIT)
    (shop / "cat.png").write_bytes(a_png(9, 9))
    edited = only_task(shop / "rows.csv", rows.format("cat.png"), model=EDIT)

    assert before.key == renamed.key == edited.key
    assert before.digest == renamed.digest != edited.digest
    assert before.params == {"image_url": "cat.png"}


def test_paths_are_templates_in_lists_too(shop: Path) -> None:
    row = '{"prompt": "Both", "animal": "dog", "image_urls": ["cat.png", "shop/{animal}.png"]}\n'
    task = only_task(shop / "rows.jsonl", row, model=SEVERAL)

    files = task.inputs["image_urls"]
    assert isinstance(files, tuple)
    assert [file.name for file in files if isinstance(file, LocalFile)] == [
        "cat.png",
        "shop/dog.png",
    ]


def test_urls_and_files_may_be_in_one_list(shop: Path) -> None:
    row = '{"prompt": "Both", "image_urls": ["https://a.test/b.png", "cat.png"]}\n'
    images = only_task(shop / "rows.jsonl", row, model=SEVERAL).inputs["image_urls"]
    assert isinstance(images, tuple)
    assert images[0] == "https://a.test/b.png"
    assert isinstance(images[1], LocalFile)
    only = '{"prompt": "One", "image_urls": ["https://a.test/b.png"]}\n'
    assert only_task(shop / "rows.jsonl", only, model=SEVERAL).inputs == {}


@pytest.mark.parametrize(
    ("model", "own"),
    [
        (EDIT, "image_url"),
        (SEVERAL, "image_urls"),
        ("alibaba/qwen-image-edit", "image"),
        ("luma/uni-1", "image_url"),
    ],
)
def test_image_is_the_name_of_the_input_for_every_model(shop: Path, model: str, own: str) -> None:
    task = only_task(shop / "rows.csv", "prompt,image\nA cat,cat.png\n", model=model)
    assert list(task.inputs) == [own]


def test_an_unknown_model_takes_paths_with_the_extension_of_an_image(shop: Path) -> None:
    rows = "prompt,image\nA cat,{}\n"
    assert "image" in only_task(shop / "rows.csv", rows.format("cat.png"), model="my/model").inputs
    for text in ("cat", "aGVsbG8=", "https://a.test/cat.png"):
        assert only_task(shop / "rows.csv", rows.format(text), model="my/model").inputs == {}
    wrong = problem(shop / "rows.csv", rows.format("file:cat"), model="my/model")
    assert wrong == f"`image`: there is no file file:cat in {shop}"


def test_errors_of_files_are_reported_before_the_run(shop: Path) -> None:
    rows = "prompt,image_url\nA cat,{}\n"
    assert problem(shop / "rows.csv", rows.format("cta.png"), model=EDIT) == (
        f"`image_url`: there is no file cta.png in {shop}; `image_url` takes a URL or the path of"
        " a file"
    )
    inner = shop / "shop" / "rows.csv"
    assert "--allow-files DIR" in problem(inner, rows.format("../cat.png"), model=EDIT)
    assert only_task(inner, rows.format("../cat.png"), model=EDIT, allow_files=(shop,)).inputs


def test_an_image_for_a_model_that_edits_is_sent_to_the_edits_endpoint(shop: Path) -> None:
    rows = "prompt,image,mask,n\nA cat,{},{},{}\n"
    gpt = "openai/gpt-image-1"
    task = only_task(shop / "rows.csv", rows.format("cat.png", "cat.png", 3), model=gpt)
    assert (task.endpoint, list(task.inputs)) == ("edits", ["image", "mask"])
    assert task.params["n"] == 3
    drawn = only_task(shop / "rows.csv", rows.format("", "", 1), model=gpt)
    assert (drawn.endpoint, drawn.inputs) == ("images", {})


def test_files_that_cannot_be_uploaded_are_errors(shop: Path) -> None:
    rows = "prompt,image,mask\nA cat,{},{}\n"
    gpt = "openai/gpt-image-1"
    (shop / "cat.jpg").write_bytes(b"\xff\xd8\xff" + bytes(99))
    assert problem(shop / "rows.csv", rows.format("cat.png", "cat.jpg"), model=gpt) == (
        "`mask`: the file cat.jpg is image/jpeg; openai/gpt-image-1 takes image/png"
    )
    (shop / "large.png").write_bytes(a_png() + bytes(2**22))
    assert problem(shop / "rows.csv", rows.format("cat.jpg", "large.png"), model=gpt) == (
        "`mask`: the file large.png is 4.2 MB; openai/gpt-image-1 takes at most 4.2 MB"
    )
    wrong = problem(shop / "rows.csv", rows.format("https://a.test/b.png", ""), model=gpt)
    assert "`image` https://a.test/b.png is a URL" in wrong


def test_a_document_must_have_a_type_that_its_model_reads(shop: Path) -> None:
    (shop / "a.pdf").write_bytes(b"%PDF-1.7\n%%EOF\n")
    (shop / "a.tif").write_bytes(b"II*\0" + bytes(99))
    for document in ("a.pdf", "{type: document_url, document_url: a.pdf}"):
        row = f"prompts: [{{model: mistral/mistral-ocr-latest, document: {document}}}]\n"
        assert (
            file_of(only_task(shop / "job.yaml", row), "document").media_type == "application/pdf"
        )
    message = problem(shop / "job.yaml", "prompts: [{model: zhipu/glm-ocr, document: a.tif}]\n")
    assert "a.tif is image/tiff; zhipu/glm-ocr takes application/pdf" in message
    message = problem(
        shop / "job.yaml", "prompts: [{model: zhipu/glm-ocr, document: /etc/passwd}]\n"
    )
    assert "outside the manifest's folder" in message


def test_a_recording_is_a_path_or_the_id_of_an_upload(shop: Path) -> None:
    (shop / "lead.mp3").write_bytes(b"ID3\x04" + bytes(99))
    row = "prompts: [{model: music-01, prompt: La la, refer_voice: %s}]\n"
    task = only_task(shop / "job.yaml", row % "lead.mp3")
    assert file_of(task, "refer_voice").media_type == "audio/mpeg"
    assert only_task(shop / "job.yaml", row % "vocal-2025-a0A_a").inputs == {}
    assert "there is no file ./lead" in problem(shop / "job.yaml", row % "./lead")
    assert "is not an audio file" in problem(shop / "job.yaml", row % "cat.png")
    assert "is a URL; music-01 takes the path of a file, or the id of an upload" in problem(
        shop / "job.yaml", row % "https://x.test/a.mp3"
    )


def test_images_of_a_chat_are_part_of_its_identity(shop: Path) -> None:
    row = "prompts: [{id: a, model: openai/gpt-4o, prompt: What is it?, image: cat.png}]\n"
    before = only_task(shop / "job.yaml", row)
    (shop / "cat.png").write_bytes(a_png(pixel=b"\1"))
    assert only_task(shop / "job.yaml", row).digest != before.digest
    message = problem(shop / "job.yaml", row.replace("gpt-4o", "gpt-4o, image_urls: [https://x/y]"))
    assert "`image` is not a parameter of openai/gpt-4o" in message
