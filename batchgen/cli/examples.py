"""Examples for the help of each command; a test parses all of them."""

from collections.abc import Mapping

# The empty name stands for `batchgen --help`. Three spaces separate a command from its comment.
EXAMPLES: Mapping[str, str] = {
    "": """\
  batchgen init && batchgen run job.yaml           try it without a key
  batchgen run prompts.csv --model flux/schnell -o out/spring
  batchgen plan prompts.csv --model dall-e-3       check it and print the price
  batchgen status out/spring                       during the run or after it
  batchgen report out/spring                       write a page of the results
""",
    "run": """\
  batchgen run job.yaml                     generate what is not done yet
  batchgen run prompts.csv --model flux/schnell --rpm 120 --max-cost 5
  batchgen run job.yaml --retry-failed      retry all failed tasks
  batchgen run job.yaml --quiet --notify 'mail -s "assets: $BATCHGEN_STATUS" me'
  cat prompts.txt | batchgen run - --format txt --model dall-e-2 -o out/piped
""",
    "plan": """\
  batchgen plan job.yaml
  batchgen plan prompts.csv --model dall-e-3 --limit 10
  batchgen plan job.yaml --json | jq .cost_usd
""",
    "status": """\
  batchgen status out/spring
  batchgen status out/spring --watch        until the run has ended
  batchgen status out/spring --json | jq .succeeded
""",
    "results": """\
  batchgen results out/spring --format csv -o spring.csv
  batchgen results out/spring --status failed,refused --format yaml -o again.yaml
  batchgen results out/spring --format openai-batch -o spring.jsonl
  batchgen results out/spring | jq -r 'select(.status == "failed") | .id'
""",
    "report": """\
  batchgen report out/spring                       write out/spring/report.html
  batchgen report out/spring --contact-sheet sheet.png
""",
    "show": """\
  batchgen show out/spring/hero-1.png              from the metadata in the file
  batchgen show ~/Downloads/hero.png -o out/spring   by its hash in the ledger
""",
    "verify": """\
  batchgen verify out/spring           list missing, damaged and extra files
  batchgen verify out/spring --fix     let the next run generate damaged files again
""",
    "merge": """\
  batchgen merge out/all out/part-1 out/part-2
""",
    "models": """\
  batchgen models --search flux
  batchgen models flux/schnell              its parameters and an example row
  batchgen models --live                    compare with the provider's list
  batchgen models dall-e-3 --provider openai --json
""",
    "simulate": """\
  batchgen simulate --port 8080 --latency 2s --faults 429=0.1,500=0.02
  export AIMLAPI_API_KEY=any && batchgen run job.yaml --base-url http://127.0.0.1:8080/v1
""",
    "init": """\
  batchgen init && batchgen run job.yaml
  batchgen init spring.yaml
  batchgen init - | less
""",
    "schema": """\
  batchgen schema > batchgen.schema.json
""",
    "completion": """\
  batchgen completion bash > ~/.local/share/bash-completion/completions/batchgen
  batchgen completion zsh > ~/.zfunc/_batchgen
""",
}


def examples_of(command: str) -> str:
    """Return the examples of a command as the end of its help; empty if it has none."""
    lines = EXAMPLES.get(command)
    return f"examples:\n{lines}" if lines else ""
