# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# bash completion for kipc(1): subcommands, options, endpoints by name, parameters of the
# module. Works without the package bash-completion.

declare -A _kipc_options=(
	[ls]="--json --noheadings --output --sort"
	[stat]="--json"
	[mk]="--first-come --key --max-bytes --max-msgs --max-size --mode --oneway --rendezvous"
	[set]="--group --key --max-bytes --max-msgs --max-size --mode --name --no-key --no-name --owner"
	[rm]="--all --force"
	[send]="--any-owner --attach --deadline --file --lines --owner --prio --sync --type --wait"
	[recv]="--any-owner --count --create --deadline --files --follow --json --max-bytes --max-msgs --max-size --max-type --mode --newline --not-type --owner --peek --pretty --raw --type --wait"
	[call]="--any-owner --attach --deadline --file --idempotent --json --newline --owner --pretty --prio --raw --type --wait"
	[serve]="--any-owner --count --exit-is-errno --files --jobs --max-bytes --max-msgs --max-size --mode --owner --timeout"
	[run]="--check --libdir --posix --sysv"
	[names]="--count --deadline --json --look-up --noheadings --output --sort --watch"
	[monitor]="--count --event --json"
	[top]="--batch --count --delay --noheadings --output --sort"
	[load]="--module"
	[unload]="--deadline"
	[status]="--json"
)

# What an option takes, if it can be guessed
_kipc_value()
{
	case $1 in
	--file | --attach | --module) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	--libdir) mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
	--owner) mapfile -t COMPREPLY < <(compgen -u -- "$2") ;;
	--group) mapfile -t COMPREPLY < <(compgen -g -- "$2") ;;
	--event)
		mapfile -t COMPREPLY < <(compgen -W "send call block claim deliver reply drop remove wake" -- "$2")
		;;
	*) COMPREPLY=() ;;
	esac
}

_kipc_endpoints()
{
	kipc ls --noheadings --output=NAME 2>/dev/null | grep -v -e '^-$' -e '[[:space:]\\]'
	kipc ls --noheadings --output=ID 2>/dev/null | sed 's/^ */id:/'
}

# An endpoint that the word is the beginning of. A colon separates words here
_kipc_endpoint()
{
	local prefix=
	[[ $1 != *:* ]] || prefix=${1%"${1##*:}"}
	mapfile -t COMPREPLY < <(compgen -W "$(_kipc_endpoints)" -- "$1")
	[[ $COMP_WORDBREAKS != *:* || -z $prefix ]] || COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}

_kipc()
{
	local line=${COMP_LINE:0:COMP_POINT} words word previous command i
	read -ra words <<<"$line"
	word=
	[[ $line == *[[:space:]] ]] || word=${words[-1]}
	[[ -z $word ]] || unset 'words[-1]'
	previous=${words[-1]}
	command=${words[1]:-}
	COMPREPLY=()

	if [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "${!_kipc_options[*]} --help --usage --version" -- "$word")
		return
	fi
	[[ -n ${_kipc_options[$command]:-} ]] || return
	# Behind the command that serve or run runs, all is that command's
	if [[ $command == serve || $command == run ]]; then
		local arguments=0 operands=0
		[[ $command == run ]] || operands=1
		for ((i = 2; i < ${#words[@]}; i++)); do
			[[ ${words[i]} == -* ]] || arguments=$((arguments + 1))
		done
		if ((arguments == operands)) && [[ $command == serve || $word != -* ]]; then
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
			return
		elif ((arguments > operands)); then
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			return
		fi
	fi
	case $word in
	--*=*)
		_kipc_value "${word%%=*}" "${word#*=}"
		[[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/${word%%=*}=}")
		return
		;;
	-*)
		mapfile -t COMPREPLY < <(compgen -W "${_kipc_options[$command]} --help --usage" -- "$word")
		return
		;;
	esac
	case $previous in
	--file | --attach | --module | --libdir | --owner | --group | --event)
		_kipc_value "$previous" "$word"
		return
		;;
	esac
	case $command in
	load)
		mapfile -t COMPREPLY < <(compgen -S = -W "$(modinfo -F parm kipc 2>/dev/null | sed 's/:.*//')" -- "$word")
		compopt -o nospace 2>/dev/null || true
		;;
	names) mapfile -t COMPREPLY < <(compgen -W "$(kipc names --noheadings --output=NAME 2>/dev/null)" -- "$word") ;;
	top | unload | status | mk) ;;
	*) _kipc_endpoint "$word" ;;
	esac
}

complete -F _kipc kipc
