"""The command line under test, as a child process."""
import json
import os
import subprocess

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
MAIN = os.path.join(REPOSITORY, "dist", "cli", "main.js")


class ProgramError(Exception):
    pass


def run(*arguments, script=MAIN):
    command = ["node", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def call(*arguments, script=MAIN):
    """Standard output of a command that must succeed."""
    result = run(*arguments, script=script)
    if result.returncode != 0:
        shown = " ".join(map(str, arguments))
        raise ProgramError(f"{shown}: exit code {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def score(model, data, *arguments):
    return json_lines(call("score", "--model", model, "--data", data, "--json", *arguments))


def generate(model, prompt, images, *arguments):
    pictures = ["--image", *images] if images else []
    words = ["--prompt", prompt, "--temperature", 0, "--json", *pictures, *arguments]
    (completion,) = json_lines(call("generate", "--model", model, *words))
    return completion
