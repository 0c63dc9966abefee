import { Argument, type Command } from "commander";
import type { App } from "../app.ts";
import { bashCompletion, zshCompletion } from "../completion.ts";

/** `dcos-net completion`: tab completion, made from the command tree itself. */
export function addCompletion(program: Command, { out }: App): void {
  program
    .command("completion")
    .description("print a script for tab completion")
    .addArgument(new Argument("<shell>", "the shell that is to read it").choices(["bash", "zsh"]))
    .action((shell: "bash" | "zsh") => {
      out.line(shell === "bash" ? bashCompletion(program) : zshCompletion(program));
    });
}
