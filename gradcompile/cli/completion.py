"""`gradcompile completion`: a script that lets the shell complete commands, options and shipped models."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from gradcompile.cli import given, terminal

EXAMPLES = """\
examples:
  gradcompile completion bash > ~/.local/share/bash-completion/completions/gradcompile
  source <(gradcompile completion zsh)
"""

SHELLS = ("bash", "zsh")
FRAME = """\
_gradcompile() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands} --help --version"
    else
        case "${{COMP_WORDS[1]}} $before" in
{choices}
        *) case "${{COMP_WORDS[1]}}" in
{options}
            esac ;;
        esac
    fi
    COMPREPLY=( $(compgen -W "$words" -- "$word") )
}}
complete -o bashdefault -o default -F _gradcompile gradcompile
"""
ZSH = "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    terminal.arguments(parser, json="the script as a line of JSON")
    parser.add_argument("shell", choices=SHELLS, help="which shell the script is for")


def run(chosen: argparse.Namespace) -> int:
    """Print the script; return the exit status."""
    text = (ZSH if chosen.shell == "zsh" else "") + script()
    if chosen.json:
        terminal.result_as_json({"shell": chosen.shell, "script": text})
    else:
        terminal.result(text)
    return 0


def script() -> str:
    """Return the script for bash."""
    from gradcompile.cli.program import COMMANDS

    commands = {name: _actions(name) for name in COMMANDS}
    choices = [line for name, actions in commands.items() for line in _choices(name, actions)]
    options = [_options(name, actions) for name, actions in commands.items()]
    return FRAME.format(commands=" ".join(commands), choices="\n".join(choices), options="\n".join(options))


def _actions(command: str) -> list[argparse.Action]:
    """Return what a command takes."""
    from importlib import import_module

    parser = argparse.ArgumentParser()
    import_module(f"gradcompile.cli.{command}").arguments(parser)
    return parser._actions  # argparse has no public list of them


def _choices(command: str, actions: list[argparse.Action]) -> Iterator[str]:
    """Yield a line for every option that takes one of a few words."""
    for action in actions:
        if action.choices and action.option_strings:
            words = " ".join(map(str, action.choices))
            patterns = "|".join(f'"{command} {option}"' for option in action.option_strings)
            yield f'        {patterns}) words="{words}" ;;'


def _options(command: str, actions: list[argparse.Action]) -> str:
    """Return the line of a command: its options, and what its positional words can be."""
    words = [option for action in actions for option in action.option_strings]
    for action in actions:
        if not action.option_strings:
            words += given.shipped() if action.dest in ("model", "name") else map(str, action.choices or ())
    return f'            {command}) words="{" ".join(words)}" ;;'
