import type { Command } from "commander";

/** What can follow a sequence of command words. */
export interface CompletionNode {
  /** Command words up to here, separated by spaces; empty for the program itself. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly doc: string }[];
  /** Names of the commands among the words. */
  readonly commands: readonly string[];
}

/** Every command of the tree with the commands and options that can follow it. */
export function completionNodes(command: Command, path = ""): CompletionNode[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command).filter((child) => child.name() !== "help");
  const options = help.visibleOptions(command);
  const words = [
    ...commands.map((child) => ({ word: child.name(), doc: child.description() })),
    ...options.map((option) => ({ word: option.long ?? option.short ?? "", doc: option.description })),
  ];
  const names = commands.map((child) => child.name());
  const children = commands.flatMap((child) => completionNodes(child, `${path} ${child.name()}`.trimStart()));
  return [{ path, words, commands: names }, ...children];
}

/** A bash completion script for the tree; file names are offered where nothing else fits. */
export function bashCompletion(command: Command): string {
  const nodes = completionNodes(command);
  const cases = nodes.map(
    ({ path, words }) => `    ${quote(path)}) words=${quote(words.map(({ word }) => word).join(" "))} ;;`,
  );
  return `# bash completion of dcos-net: source it, or store it in /etc/bash_completion.d
_dcos_net() {
  local path="" words="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [ "$word" = -- ] && return
    case "$path $word" in
      ${stepPattern(nodes)}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _dcos_net dcos-net`;
}

/** A zsh completion script for the tree, with the explanation of each word. */
export function zshCompletion(command: Command): string {
  const nodes = completionNodes(command);
  const cases = nodes.map(({ path, words }) => {
    const candidates = words.map(({ word, doc }) => quote(`${word}:${doc.replaceAll(":", "\\:")}`));
    return `    ${quote(path)}) candidates=(${candidates.join(" ")}) ;;`;
  });
  return `#compdef dcos-net
# zsh completion of dcos-net: store it as _dcos-net in a directory of $fpath, or source it
_dcos_net() {
  local route="" word
  local -a candidates
  for word in "\${words[@]:1:$((CURRENT - 2))}"; do
    [[ $word == -- ]] && return
    case "$route $word" in
      ${stepPattern(nodes)}) route="\${route:+$route }$word" ;;
    esac
  done
  case "$route" in
${cases.join("\n")}
  esac
  _describe -o 'dcos-net' candidates || _files
}
compdef _dcos_net dcos-net`;
}

/** Every "path so far, next command" that leads one step down the tree. */
function stepPattern(nodes: readonly CompletionNode[]): string {
  return nodes.flatMap(({ path, commands }) => commands.map((name) => quote(`${path} ${name}`))).join(" | ");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
