--- `cce completion`: what a shell needs to complete commands, options and
-- cluster names. The shell asks `cce __complete`, which knows them.
-- @module cce.cli.command.tool.completion
-- @local
local exit = require "cce.cli.exit"

local M = { name = "completion", summary = "Print what completes this command in a shell.",
  one_form = true }

M.scripts = {
  bash = [=[
# bash completion for cce: source <(cce completion bash)
_cce() {
    local line current="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=()
    while IFS= read -r line; do
        case "$line" in
            :files)
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
            :directories)
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _cce cce
]=],
  zsh = [=[
#compdef cce
# zsh completion for cce: source <(cce completion zsh), or a file _cce in fpath
_cce() {
    local line tab=$'\t'
    local -a values
    for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case "$line" in
            :files) _files; return ;;
            :directories) _files -/; return ;;
            *$tab*) values+=("${${line%%$tab*}//:/\\:}:${line#*$tab}") ;;
            ?*) values+=("${line//:/\\:}") ;;
        esac
    done
    (( $#values )) && _describe cce values
}
if [ "$funcstack[1]" = "_cce" ]; then
    _cce "$@"
else
    compdef _cce cce
fi
]=],
  fish = [=[
# fish completion for cce: cce completion fish | source
function __cce_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$current"
            case ':directories'
                __fish_complete_directories "$current"
            case '*'
                echo $line
        end
    end
end
complete -c cce -f -a '(__cce_complete)'
]=],
}

function M.describe(parser)
  parser:argument("shell", "bash, zsh or fish."):choices({ "bash", "zsh", "fish" })
    :argname("SHELL")
  parser:epilog "For bash: source <(cce completion bash), in ~/.bashrc."
end

function M.run(args, ui)
  ui:print(M.scripts[args.shell])
  return exit.DONE
end

return M
