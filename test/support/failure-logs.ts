/** The end of each log that is told, in lines. */
const TAIL_LINES = 12;

/** Takes what is told of the test that failed last. */
type Listener = (text: string) => void;

const listeners = new Set<Listener>();

/** Lets a runner of tests hear the ends of logs, which it repeats where it tells of failures. */
export function hearLogs(listener: Listener): void {
  listeners.add(listener);
}

/** In a suite: prints the logs of its programs, by name, when a test has failed, or when what comes before the tests
 *  has. To be called ahead of the hook that removes them. */
export function printsLogsOfFailures(logs: () => Readonly<Record<string, string>>): void {
  afterEach("print logs of a failure", function () {
    if (this.currentTest?.state === "failed") tell(logs());
  });
  after("print logs of a failure before the tests", function () {
    const tests = this.test?.parent?.tests ?? [];
    if (tests.length > 0 && tests.every(({ state, pending }) => state === undefined && !pending)) tell(logs());
  });
}

function tell(logs: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(logs)) {
    console.error(`--- log of ${name}\n${text}`);
    const tail = text.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
    for (const listener of listeners) listener(`--- end of the log of ${name}\n${tail}`);
  }
}
