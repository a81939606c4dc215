"""Definitions of workflows, read as CreateWorkflow reads them."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from airflow_provider_omics.emulator.definitions import wdl
from airflow_provider_omics.emulator.definitions.archive import DefinitionError, pack
from airflow_provider_omics.emulator.definitions.invented import invent
from airflow_provider_omics.emulator.definitions.reading import read

TASK = (
    'version 1.0\ntask hello {\n  input { String who }\n  command <<< echo ~{who} >>>\n  runtime { docker: "a" }\n}\n'
)
WORKFLOW = """version 1.0
import "tasks/hello.wdl" as tasks
workflow greet {
  input {
    String name
    File? reads
    Int times = 3
    Array[String]+ samples
  }
  parameter_meta {
    name: "Whom to greet"
    reads: { description: "Reads,\\n an S3 URI" }
  }
  call tasks.hello { input: who = name }
}
"""
CWL = """cwlVersion: v1.2
class: Workflow
inputs:
  one: int
  two: int?
  three: {type: int, default: 2}
  four: {type: ["null", File], label: The reads}
  five: {type: {type: array, items: string}, label: Names, doc: and more}
outputs: []
steps:
  first: {run: tools/echo.cwl, in: {}, out: []}
  second: {run: {class: CommandLineTool, inputs: [], outputs: []}, in: {}, out: []}
"""
SCHEMA = """{"$defs": {"io": {"required": ["input"], "properties": {
  "input": {"type": "string", "description": "The sample sheet"}, "genome": {"type": "string"}}}},
  "definitions": {"old": {"properties": {"aligner": {}}}}, "properties": {"own": {}}, "required": ["own"]}"""


def names(template: dict[str, Any]) -> dict[str, bool]:
    """Name of each parameter -> whether a run must have it."""
    return {name: not entry["optional"] for name, entry in template.items()}


@pytest.mark.parametrize(
    ("files", "asked", "engine", "main"),
    [
        ({"main.nf": ""}, {}, "NEXTFLOW", "main.nf"),
        ({"pipeline.nf": "", "README.md": ""}, {}, "NEXTFLOW", "pipeline.nf"),
        ({"rnaseq-3.18/main.nf": "", "rnaseq-3.18/modules/a/main.nf": ""}, {}, "NEXTFLOW", "rnaseq-3.18/main.nf"),
        ({"a.nf": "", "b.nf": ""}, {"main": "b.nf"}, "NEXTFLOW", "b.nf"),
        ({"main.nf": "", "main.cwl": ""}, {"engine": "NEXTFLOW"}, "NEXTFLOW", "main.nf"),
        ({"main.nf": "", "tools/a.cwl": ""}, {"main": "./main.nf"}, "NEXTFLOW", "main.nf"),
        ({"main.cwl": CWL, "tools/echo.cwl": "class: CommandLineTool"}, {}, "CWL", "main.cwl"),
    ],
    ids=str,
)
def test_engine_and_main_are_found(files: dict[str, str], asked: dict[str, str], engine: str, main: str) -> None:
    """By the files in the archive, unless the request names them."""
    definition = read(pack(files), **asked)

    assert (definition.engine, definition.main, definition.unchecked) == (engine, main, None)


@pytest.mark.parametrize(
    ("body", "asked", "problem"),
    [
        (b"PK", {}, "not a zip archive"),
        (b"", {}, "not a zip archive"),
        (pack({}), {}, "empty zip archive"),
        (pack({"a.txt": ""}), {}, "no .wdl, .nf or .cwl file"),
        (pack({"main.nf": "", "main.cwl": ""}), {}, "files of CWL and NEXTFLOW: specify the engine"),
        (pack({"main.nf": ""}), {"engine": "WDL"}, "no .wdl file, which the engine WDL needs"),
        (pack({"a.nf": "", "b.nf": ""}), {}, "specify main"),
        (pack({"x/main.nf": "", "y/main.nf": ""}), {}, "specify main"),
        (pack({"main.nf": ""}), {"main": "mian.nf"}, "main file mian.nf is not in the workflow definition"),
        (pack({"main.nf": "", "nextflow_schema.json": "{"}), {}, "nextflow_schema.json is not valid JSON"),
        (pack({"main.nf": "", "nextflow_schema.json": '{"$defs": 1}'}), {}, "[$]defs must hold objects"),
        (pack({"main.cwl": "a: ["}), {}, "main.cwl is not YAML"),
        (pack({"main.cwl": "- a"}), {}, "must hold a mapping"),
        (pack({"main.cwl": "class: Workflow"}), {}, "cwlVersion is None, not v1.0"),
        (pack({"main.cwl": "{cwlVersion: v1.0, class: Werkflow}"}), {}, "class is 'Werkflow'"),
        (pack({"main.cwl": CWL}), {}, "step first runs tools/echo.cwl, which is not in the workflow definition"),
        (pack({"main.cwl": "{cwlVersion: v1.0, $graph: [{id: other}]}"}), {}, "no process #main"),
        (pack({"main.cwl": "{cwlVersion: v1.0, class: Workflow, inputs: 3}"}), {}, "inputs must be a mapping"),
    ],
)
def test_broken_definition_says_what_is_wrong(body: bytes, asked: dict[str, str], problem: str) -> None:
    """The message becomes the workflow's statusMessage, which has no line breaks."""
    with pytest.raises(DefinitionError, match=problem) as caught:
        read(body, **asked)
    assert "\n" not in str(caught.value)


def test_text_must_be_text() -> None:
    """A main file that is no UTF-8 is named."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("main.cwl", b"\xff\xfe")
    with pytest.raises(DefinitionError, match=r"main\.cwl is not text in UTF-8"):
        read(body.getvalue())


def test_cwl_inputs_are_the_parameters() -> None:
    """What may be null or has a default is optional; the label is the description."""
    template = read(pack({"main.cwl": CWL, "tools/echo.cwl": "class: CommandLineTool"})).template

    assert template is not None
    assert names(template) == {"one": True, "two": False, "three": False, "four": False, "five": True}
    assert [template[name]["description"] for name in ("one", "four", "five")] == ["", "The reads", "Names"]


def test_optional_types_may_stand_in_brackets() -> None:
    """YAML 1.2, which CWL is written in, has them; PyYAML reads 1.1."""
    inputs = "{a: File?, b: [string, int?], c: 'File[]?', d: {type: File, label: Which?}}"
    template = read(pack({"main.cwl": f"{{cwlVersion: v1.0, class: Workflow, inputs: {inputs}}}"})).template

    assert template is not None
    assert names(template) == {"a": False, "b": False, "c": False, "d": True}
    assert template["d"]["description"] == "Which?"


def test_packed_cwl_has_its_main_in_the_graph() -> None:
    """Inputs may be a list, and ids may carry the process."""
    packed = (
        "{cwlVersion: v1.0, $graph: [{id: '#tool'}, {id: '#main', class: Workflow, steps: [{id: s, run: '#tool'}], "
        "inputs: [{id: '#main/a', type: File}]}]}"
    )

    assert read(pack({"main.cwl": packed})).template == {"a": {"description": "", "optional": False}}


def test_schema_of_nextflow_decides() -> None:
    """The groups of both drafts count, and main.nf does not where there is a schema."""
    template = read(pack({"x/main.nf": "params.other", "x/nextflow_schema.json": SCHEMA})).template

    assert template is not None
    assert names(template) == {"own": True, "input": True, "genome": False, "aligner": False}
    assert template["input"]["description"] == "The sample sheet"


def test_params_of_nextflow_without_a_schema() -> None:
    """Those that main file and nextflow.config mention; a default makes one optional, a comment is none."""
    main = (
        "// params.old\n/* params.older */\nparams.outdir = 'results'\nif (params.genome == 'x') { }\n"
        'params.each { println it }\nlog.info "http://x ${params.input}"\n'
        "params {\n    reads: Path\n    depth: Integer = 3\n}\n"
    )
    config = "params {\n    genome = null // GRCh38\n    inner { a = 1 }\n    cpus=2\n}\nprocess { cpus = 4 }\n"
    template = read(pack({"main.nf": main, "nextflow.config": config, "modules/a.nf": "params.hidden"})).template

    assert template is not None
    expected = {"outdir": False, "genome": False, "input": True, "reads": True, "depth": False, "cpus": False}
    assert names(template) == expected


def test_wdl_inputs_are_the_parameters() -> None:
    """Of the workflow in the main file, by their own names; optional by type or default."""
    definition = read(pack({"w/main.wdl": WORKFLOW, "w/tasks/hello.wdl": TASK}))

    assert definition.template is not None
    assert (definition.engine, definition.main) == ("WDL", "w/main.wdl")
    assert names(definition.template) == {"name": True, "reads": False, "times": False, "samples": True}
    assert definition.template["name"]["description"] == "Whom to greet"
    assert definition.template["times"]["description"] == ""


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"main.wdl": "version 1.0\nworkflow x {"}, "main.wdl line 2: "),
        ({"main.wdl": "version 1.0\nworkflow x { call y }"}, "No such task/workflow: y"),
        ({"main.wdl": WORKFLOW}, "tasks/hello.wdl is imported, but not in the workflow definition"),
        ({"main.wdl": WORKFLOW, "tasks/hello.wdl": "version 1.0\ntask {"}, "tasks/hello.wdl line 2"),
        (
            {"main.wdl": 'version 1.0\nimport "https://example.com/a.wdl"\nworkflow x { }'},
            "https:.*is imported, but not",
        ),
        ({"main.wdl": TASK}, "main.wdl has no workflow"),
        ({"main.wdl": ""}, "main.wdl has no workflow"),
        ({"main.wdl": "version 1.0\nworkflow x { call a\n call b }"}, "call|task/workflow: a; .*task/workflow: b"),
    ],
    ids=str,
)
def test_broken_wdl_says_where(files: dict[str, str], problem: str) -> None:
    """File and line of each problem, in one line."""
    with pytest.raises(DefinitionError, match=problem) as caught:
        read(pack(files))
    assert "\n" not in str(caught.value)


def test_without_miniwdl_the_gap_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A WDL that nobody has read takes any parameters, and says so."""
    monkeypatch.setattr(wdl, "can_read", lambda: False)
    definition = read(pack({"main.wdl": "no WDL at all"}))

    assert (definition.engine, definition.template) == ("WDL", None)
    assert "airflow-provider-omics[emulator,wdl]" in str(definition.unchecked)


@pytest.mark.parametrize("engine", ["NEXTFLOW", "CWL", "WDL"])
def test_invented_definition_has_the_template(engine: str) -> None:
    """What a workflow of a scenario exports can be read again, and has its parameters."""
    definition = read(invent(engine, "rnaseq", {"reads": {"optional": False}, "genome": {"optional": True}}))

    assert definition.engine == engine
    assert definition.template is not None
    assert names(definition.template) == {"reads": True, "genome": False}
