"""`buildrules completion`."""

import click

_BASH = r"""# source it, or put it into ~/.local/share/bash-completion/completions/buildrules
_buildrules() {
    local line="${COMP_LINE:0:COMP_POINT}" words current
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    local kept="${current%"${current##*[:=]}"}" # readline replaces what is behind the last : or = alone
    mapfile -t COMPREPLY < <("${words[0]}" completion bash -- "${words[@]:1}" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:] ]] && compopt -o nospace
}
complete -o default -F _buildrules buildrules
"""
_ZSH = r"""#compdef buildrules
# buildrules completion zsh: put it as _buildrules into a folder of $fpath, or source it behind compinit
_buildrules() {
    local -a found whole
    found=("${(@f)$("${words[1]}" completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=("${(@)found:#}")
    (( $#found )) || { _files; return }
    whole=("${(@)found:#*[\/:]}")
    (( $#whole )) && compadd -Q -a whole
    found=("${(@M)found:#*[\/:]}")
    (( $#found )) && compadd -Q -S '' -a found
}
compdef _buildrules buildrules
"""
_FISH = """# buildrules completion fish: put it into ~/.config/fish/completions/buildrules.fish
function __buildrules_complete
    set -l found (command buildrules completion fish -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
    if set -q found[1]
        string join \\n -- $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c buildrules -f -a '(__buildrules_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command()
@click.argument("shell", type=click.Choice(list(_SCRIPTS)))
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(shell: str, words: tuple[str, ...]) -> None:
    """Print what makes a shell complete verbs, options and labels: source <(buildrules completion bash)

    With WORDS, behind --, it prints what the last of them can become.
    """
    if not words:
        click.echo(_SCRIPTS[shell], nl=False)
        return
    from buildrules.cli.complete import candidates

    for one in candidates(words):
        click.echo(one)
