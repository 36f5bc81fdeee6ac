"""`aspora completion`: what makes a shell complete Aspora's words."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli

EXAMPLES = """examples:
  source <(aspora completion bash)               for this shell
  aspora completion bash >> ~/.bashrc            for every new one
  aspora completion zsh > ~/.zfunc/_aspora       with ~/.zfunc in fpath, before compinit
  aspora completion fish > ~/.config/fish/completions/aspora.fish
"""

BASH = """# Completion of aspora for bash.
_aspora_complete() {
    local IFS=$'\\n'
    COMPREPLY=($(aspora __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace; fi
}
complete -o default -o bashdefault -F _aspora_complete aspora
"""

ZSH = """#compdef aspora
# Completion of aspora for zsh.
_aspora() {
    local -a found
    found=(${(f)"$(aspora __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( ${#found} )); then compadd -- $found; else _files; fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _aspora "$@"; else compdef _aspora aspora; fi
"""

FISH = """# Completion of aspora for fish.
function __aspora_complete
    set -l words (commandline -opc) (commandline -ct)
    aspora __complete $words[2..-1] 2>/dev/null
end
complete -c aspora -a '(__aspora_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="which shell")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print the script."""
    cli.out.stdout.write(SCRIPTS[args.shell])
    return exit_codes.OK
