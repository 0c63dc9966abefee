#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# The command line as a shell sees it: exit statuses, what goes to which stream, and the life of a lab.

setup() {
  PROGRAM="${DCOS_NET_EXECUTABLE:-$BATS_TEST_DIRNAME/../../dist/dcos-net}"
  [ -x "$PROGRAM" ] || skip "dist/dcos-net is not built: make build"
  PROGRAM=$(realpath "$PROGRAM")
  cd "$BATS_TEST_TMPDIR"
  unset CNI_COMMAND
  export DCOS_NET_LAB_DIR="$BATS_TEST_TMPDIR/labs"
  # Agents of tests that aren't about names: none stands in for them when they end.
  export DCOS_NET_DNS=off
}

teardown() {
  [ -d "$DCOS_NET_LAB_DIR" ] || return 0
  for lab in "$DCOS_NET_LAB_DIR"/*; do
    [ ! -d "$lab" ] || "$PROGRAM" lab down --lab "${lab##*/}"
  done
}

as_root() {
  [ "$(id -u)" -eq 0 ] || skip "needs root"
}

@test "help goes to standard output with status 0, a mistake to standard error with status 2" {
  run --separate-stderr "$PROGRAM" --help
  [ "$status" -eq 0 ]
  [[ "$output" == *"Exit status: 0 good; 1 failed"* ]]
  [ -z "$stderr" ]
  run --separate-stderr "$PROGRAM" stauts
  [ "$status" -eq 2 ]
  [ -z "$output" ]
  [[ "$stderr" == *"Did you mean status?"* ]]
}

@test "every command explains itself" {
  for command in agent status "overlay show" "overlay peers" "overlay explain" "ipam show" "ipam check" "ipam gc" \
    "vip ls" "vip show" "trace vip" ping "drain node" "drain task" "drain ls" \
    "cni install" "cni uninstall" "cni config" preflight "config show" "config explain" completion \
    "lab up" "lab run" "lab exec" "lab status" "lab list" "lab stop" "lab down" "lab serve" "lab fetch"; do
    # The words of a command are arguments of their own.
    run "$PROGRAM" $command --help
    [ "$status" -eq 0 ]
    [[ "$output" == "Usage: dcos-net $command"* ]]
  done
}

@test "status tells scripts by its exit status that no agent runs, and why in JSON" {
  run --separate-stderr "$PROGRAM" status --run-dir "$PWD" --json
  [ "$status" -eq 1 ]
  echo "$output" | jq -e '.healthy == false and (.news | length) == 1'
}

@test "a wrong configuration file is refused with every problem at once, and nothing is done" {
  echo '{"run_dri": "/x", "resync_ms": "soon"}' >config.json
  run --separate-stderr "$PROGRAM" --config config.json status
  [ "$status" -eq 1 ]
  [ -z "$output" ]
  [[ "$stderr" == *'did you mean "run_dir"?'* ]]
  [[ "$stderr" == *resync_ms* ]]
}

@test "the environment overrides the configuration file" {
  echo '{"log_level": "warn"}' >config.json
  DCOS_NET_LOG_LEVEL=debug "$PROGRAM" --config config.json config show --json |
    jq -e '.[] | select(.key == "log_level") | .value == "debug" and .origin == "DCOS_NET_LOG_LEVEL"'
}

@test "bash takes the completion script and offers what can follow" {
  "$PROGRAM" completion bash >completion
  source ./completion
  COMP_WORDS=(dcos-net lab up --nod)
  COMP_CWORD=3
  _dcos_net
  [ "${COMPREPLY[*]}" = --nodes ]
}

@test "zsh takes the completion script and offers what can follow" {
  command -v zsh || skip "zsh is not installed"
  "$PROGRAM" completion zsh >completion
  # The two functions stand for zsh's completion system, which needs a terminal.
  run zsh -fc 'compdef() {}; _describe() { print -l -- "${(@P)argv[-1]}" }
    source ./completion
    words=(dcos-net lab ""); CURRENT=3; _dcos_net'
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" == "up:bring up a lab"* ]]
}

@test "preflight tries the machine and leaves no namespace" {
  as_root
  run --separate-stderr "$PROGRAM" preflight --json
  echo "$output" | jq -e 'map(select(.name == "VXLAN"))[0] | .required == true and (.works | type) == "boolean"'
  ! grep dcos-net-preflight /proc/self/mountinfo
}

@test "plugins are installed as links to one file, answer as plugins, and are uninstalled exactly" {
  mkdir plugins
  echo original >plugins/bridge
  "$PROGRAM" cni install --dir plugins --as bridge,host-local,portmap --json |
    jq -e 'map(select(.name == "bridge"))[0].did == "installed, original saved"'
  [ "$(stat -c %i plugins/dcos)" = "$(stat -c %i plugins/host-local)" ]
  for name in dcos bridge host-local loopback; do
    echo '{"cniVersion":"1.0.0"}' | CNI_COMMAND=VERSION "plugins/$name" | jq -e '.supportedVersions | index("1.1.0")'
  done
  "$PROGRAM" cni uninstall --dir plugins
  [ "$(ls -A plugins)" = bridge ]
  [ "$(cat plugins/bridge)" = original ]
}

@test "an unknown name to install as is refused, and nothing is installed" {
  run --separate-stderr "$PROGRAM" cni install --dir plugins --as brigde
  [ "$status" -eq 2 ]
  [[ "$stderr" == *'did you mean "bridge"?'* ]]
  [ ! -e plugins ]
}

@test "what the operating system refuses is said in one line, without a stack" {
  touch file
  run --separate-stderr "$PROGRAM" cni install --dir file/plugins
  [ "$status" -eq 1 ]
  [[ "$stderr" == "dcos-net: ENOTDIR"* ]]
  [ "${#stderr_lines[@]}" -eq 1 ]
}

@test "an agent ends on SIGTERM and leaves the kernel as it made it" {
  as_root
  echo '{"nodes": [{"name": "a", "address": "10.0.0.1"}, {"name": "b", "address": "10.0.0.2"}]}' >nodes.json
  printf '{"nodes_file": "%s/nodes.json", "node": "a", "run_dir": "%s/run", "cni_dir": "%s/cni"}' \
    "$PWD" "$PWD" "$PWD" >config.json
  # Its namespace ends with the shell in it.
  run timeout 20 unshare --net sh -euc '
    "$1" --config config.json agent >agent.log &
    until "$1" --config config.json status >status; do sleep 0.1; done
    kill -TERM $!
    wait $!
    echo "ended with $?"
    ip -brief link show vtep1024
    ip route show 9.0.1.0/24' sh "$PROGRAM"
  [ "$status" -eq 0 ]
  [[ "$output" == *"ended with 0"* ]]
  [[ "$output" == *vtep1024* ]]
  [[ "$output" == *"9.0.1.0/24 via 44.128.0.2"* ]]
  jq -es 'map(.event) | index("agent started") != null and .[-1] == "agent stopped"' agent.log
  jq -e .plugins cni/dcos.conflist
  [ ! -e run/agent.pid ]
}

@test "an agent reads its nodes file again on SIGHUP" {
  as_root
  echo '{"nodes": [{"name": "a", "address": "10.0.0.1"}]}' >nodes.json
  printf '{"nodes_file": "%s/nodes.json", "node": "a", "run_dir": "%s/run", "cni_dir": "%s/cni", "nodes_poll_ms": 60000}' \
    "$PWD" "$PWD" "$PWD" >config.json
  run timeout 20 unshare --net sh -euc '
    status() { "$1" --config config.json status --json; }
    "$1" --config config.json agent >agent.log &
    until status "$1" >status; do sleep 0.1; done
    jq .counts.peers <status >before
    echo "{\"nodes\": [{\"name\": \"a\", \"address\": \"10.0.0.1\"}, {\"name\": \"b\", \"address\": \"10.0.0.2\"}]}" >nodes.json
    kill -HUP $!
    until status "$1" | jq -e ".agent.counts.peers == 1"; do sleep 0.1; done
    kill -TERM $!
    wait $!' sh "$PROGRAM"
  [ "$status" -eq 0 ]
}

@test "an agent without a usable nodes file says why and ends" {
  as_root
  run timeout 20 "$PROGRAM" agent --nodes "$PWD/none.json" --node a --run-dir "$PWD/run"
  [ "$status" -eq 1 ]
  [[ "$output" == *"there is no such file"* ]]
}

@test "a lab comes up, runs containers, tells their statuses, and goes down" {
  as_root
  "$PROGRAM" lab up --nodes 2
  "$PROGRAM" lab list --json | jq -e '. == ["lab"]'
  web=$("$PROGRAM" lab run --node 1 --name web --json -- dcos-net lab serve | jq -re '.addresses[0]')
  [[ "$web" == 9.0.[01].2 ]]
  "$PROGRAM" lab run --node 2 --name idle -- sleep 1h
  "$PROGRAM" lab exec --name idle -- dcos-net lab fetch --wait 5 --json "http://$web/" | jq -e '.status == 200'
  "$PROGRAM" lab status --json | jq -e '.healthy and (.containers | length) == 2'
  "$PROGRAM" lab stop --name idle
  "$PROGRAM" lab status --json | jq -e '(.containers | map(.name)) == ["web"]'
  "$PROGRAM" lab down
  [ ! -e "$DCOS_NET_LAB_DIR" ]
  ! grep "$DCOS_NET_LAB_DIR" /proc/self/mountinfo
}

@test "the exit status of a command in a lab is handed on, its output too" {
  as_root
  "$PROGRAM" lab up --nodes 1
  run --separate-stderr "$PROGRAM" lab exec --node 1 -- sh -c 'echo out; echo err >&2; exit 7'
  [ "$status" -eq 7 ]
  [ "$output" = out ]
  [ "$stderr" = err ]
  run --separate-stderr "$PROGRAM" lab run --node 1 --name once --attach -- sh -c 'echo here; exit 3'
  [ "$status" -eq 3 ]
  [ "$output" = here ]
  "$PROGRAM" lab status --json | jq -e '.containers == []'
}

@test "what a lab hasn't is refused with what it has" {
  as_root
  "$PROGRAM" lab up --nodes 1
  run "$PROGRAM" lab run --node 2 --name a -- true
  [ "$status" -eq 1 ]
  [[ "$output" == *"it has n1"* ]]
  run "$PROGRAM" lab run --node 1 --name a --overlay none -- true
  [ "$status" -eq 1 ]
  [[ "$output" == *"host n1 has: dcos"* ]]
  run "$PROGRAM" lab exec --name a -- true
  [ "$status" -eq 1 ]
  run "$PROGRAM" lab status --lab other
  [ "$status" -eq 1 ]
  [[ "$output" == *"there are: lab"* ]]
}
