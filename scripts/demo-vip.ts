/** The tools of the demo: see demo.ts. */
export interface DemoTools {
  readonly executable: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly limitMs: number;
  readonly say: (text: string) => void;
  /** Runs a command of dcos-net; `shown`: tells of it. */
  readonly run: (
    args: readonly string[],
    shown: boolean,
  ) => Promise<{ readonly status: number; readonly output: string }>;
  /** Runs a step, and fails unless it succeeds and its output has `wanted`. */
  readonly step: (args: readonly string[], wanted: RegExp) => Promise<string>;
  readonly fail: (reason: string) => never;
  readonly lab: (verb: string, ...args: string[]) => string[];
  readonly inside: (container: string, ...command: string[]) => string[];
  readonly fetch: (...args: string[]) => string[];
}

const URL_OF_VIP = "http://web.lab.l4lb.thisdcos.directory/";
const CHANGE_LIMIT_MS = 10_000;

/** Three instances behind one virtual IP, of which one ends while requests come. */
export async function showVip(tools: DemoTools): Promise<void> {
  const { say, run, step, lab, inside, fetch } = tools;
  say("A virtual IP: three instances on three hosts behind one name, from a label of theirs");
  for (const number of ["1", "2", "3"]) {
    const named = ["--node", number, "--name", `shop${number}`, "--task", "shop", "--vip", "web:80"];
    const serve = ["dcos-net", "lab", "serve", "--port", "80", "--text", `shop${number}`];
    await step(lab("run", ...named, "--", ...serve), /runs on/);
  }
  const onHost2 = (...command: string[]) => lab("exec", "--node", "2", "--", "dcos-net", ...command);
  await until(tools, onHost2("vip", "ls"), /web\.lab\.l4lb\.thisdcos\.directory:80 +tcp .* 6\/6 .*ok$/m);

  say("The client asks the name 30 times: each request goes to some instance, chosen on the client's own host");
  const ask = (count: number) =>
    inside("client", ...fetch("--resolver", "198.51.100.1", "--count", String(count), URL_OF_VIP));
  countAnswers(tools, (await run(ask(30), false)).output, 30, ["shop1", "shop2", "shop3"]);

  say("It asks 1000 times more, and meanwhile the instance on host 2 is ended");
  const asked = await whileAsking(tools, 1000, async () => {
    await step(lab("stop", "--name", "shop2"), /^shop2 is stopped$/);
  });
  countAnswers(tools, asked, 1000, ["shop1", "shop2", "shop3"]);
  countAnswers(tools, (await run(ask(30), false)).output, 30, ["shop1", "shop3"]);

  say("From the label to the instances, hop by hop; after a firewall has come into the way, the trace names it");
  await step(onHost2("trace", "vip", "web.lab"), /all hops are as they should be$/);
  const firewall = "add table inet t; add chain inet t c { type filter hook input priority 0; policy drop; }";
  await step(lab("exec", "--name", "shop3", "--", "nft", firewall), /^$/);
  await fails(tools, onHost2("trace", "vip", "web.lab"), /first broken hop: backend: .*shop3.* doesn't answer/);
  await step(lab("exec", "--name", "shop3", "--", "nft", "delete table inet t"), /^$/);
}

/** Acts when the first of many requests has been answered; gives what they printed. */
async function whileAsking(tools: DemoTools, count: number, act: () => Promise<void>): Promise<string> {
  const { executable, environment, limitMs, inside, fetch } = tools;
  const args = inside("client", ...fetch("--resolver", "198.51.100.1", "--count", String(count), URL_OF_VIP));
  const child = Bun.spawn([executable, ...args], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: limitMs,
  });
  const decoder = new TextDecoder();
  let output = "";
  let acting: Promise<void> | undefined;
  for await (const chunk of child.stdout) {
    output += decoder.decode(chunk, { stream: true });
    acting ??= act();
  }
  await Promise.all([acting, child.exited]);
  return output;
}

/** Fails unless all requests were answered, by these servers. */
function countAnswers({ fail }: DemoTools, output: string, count: number, servers: readonly string[]): void {
  const good = output.match(/^200 /gm)?.length ?? 0;
  const counts = servers.map((server) => [server, output.match(new RegExp(`^${server}$`, "gm"))?.length ?? 0] as const);
  console.log(
    `  ${good} of ${count} requests answered: ${counts.map(([server, times]) => `${times} by ${server}`).join(", ")}`,
  );
  if (good !== count) fail(`${count - good} requests failed: ${output.slice(-500)}`);
  if (counts.some(([, times]) => times === 0)) fail("not all instances have answered");
  const others = counts.reduce((sum, [, times]) => sum + times, 0);
  if (others !== count) fail("others have answered");
}

/** Repeats a step until its output has `wanted`. */
async function until({ run, step }: DemoTools, args: readonly string[], wanted: RegExp): Promise<void> {
  const start = performance.now();
  while (!wanted.test((await run(args, false)).output)) {
    if (performance.now() - start > CHANGE_LIMIT_MS) break;
    await Bun.sleep(50);
  }
  await step(args, wanted);
}

/** Runs a step that ends with status 1, and fails unless its output has `wanted`. */
async function fails({ run, fail }: DemoTools, args: readonly string[], wanted: RegExp): Promise<void> {
  const { status: code, output } = await run(args, true);
  if (code !== 1) fail(`it ended with status ${code} instead of 1`);
  if (!wanted.test(output)) fail(`the output should have had ${wanted}`);
}
