#!/usr/bin/env bats
# The executable runs as root in whatever directory its caller is in, so nothing there may steer it.

setup() {
  PROGRAM="$BATS_TEST_DIRNAME/../../dist/dcos-net"
  [ -x "$PROGRAM" ] || skip "dist/dcos-net is not built: make build"
  cd "$BATS_TEST_TMPDIR"
}

# Files that a Bun program with autoloading takes settings and code from. The code leaves a file called `ran`.
plant() {
  echo 'require("node:fs").writeFileSync("ran", "");' >hostile.ts
  printf '%s\n' 'CNI_COMMAND=VERSION' 'BUN_BE_BUN=1' 'HOSTILE=1' >.env
  cp .env .env.local
  cp .env .env.production
  echo 'preload = ["./hostile.ts"]' >bunfig.toml
  cp bunfig.toml .bunfig.toml
  echo '{ "compilerOptions": { "paths": { "*": ["./hostile.ts"] } } }' >tsconfig.json
  echo '{ "name": "hostile", "main": "hostile.ts" }' >package.json
}

@test "a plugin call answers the same with hostile .env, bunfig.toml, tsconfig.json and package.json beside it" {
  # Standard error is left out: without root the call can't be logged, and says so there.
  call() { echo '{"cniVersion":"1.0.0"}' | CNI_COMMAND=VERSION "$PROGRAM" 2>/dev/null; }
  expected=$(call)
  plant
  run call
  [ "$status" -eq 0 ]
  [ "$output" = "$expected" ]
  echo "$output" | jq -e '.supportedVersions | index("1.0.0")'
  [ ! -e ran ]
}

@test "the command line answers the same with hostile .env, bunfig.toml, tsconfig.json and package.json beside it" {
  expected=$("$PROGRAM" --help)
  [ -n "$expected" ]
  plant
  run "$PROGRAM" --help
  [ "$status" -eq 0 ]
  [ "$output" = "$expected" ]
  [ ! -e ran ]
}

@test "the hostile files do work on a program that was built with autoloading" {
  bun="$BATS_TEST_DIRNAME/../../node_modules/.bin/bun"
  [ -x "$bun" ] || skip "Bun is not installed: make npm"
  echo 'console.log(process.env["HOSTILE"] ?? "clean");' >program.ts
  "$bun" build --compile --outfile=autoloading program.ts
  plant
  run ./autoloading
  [ "$output" = 1 ]
  [ -e ran ]
}
