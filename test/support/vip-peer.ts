/** A program of the behaviour suite of data planes: it serves and connects where it was started (a namespace, a control
 *  group), as it is told. Each line of its input is a question, each line of its output the answer to one, in any
 *  order (vip-peer-protocol.ts). It ends with its input. */
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { PeerAnswer, PeerQuestion } from "./vip-peer-protocol.ts";

/** Connections and sockets that stay open between questions, by the number of the question that opened them. */
const connections = new Map<number, Talk>();

/** How often, and after which waits, a fixed port is tried again that isn't free yet. */
const PORT_TRIES = 200;
const PORT_WAIT_MS = 10;

interface Talk {
  say(text: string, timeoutMs: number): Promise<string>;
  close(): void;
}

const services = new Map<string, { readonly close: () => void; readonly count: () => number }>();

/** A line of text from the other side, or how it ended. */
function talkOver(socket: Socket): Talk {
  let heard = "";
  let ended: string | undefined;
  let wake = (): void => undefined;
  const end = (how: string): void => {
    ended ??= how;
    wake();
  };
  socket.on("data", (data) => {
    heard += data.toString();
    wake();
  });
  socket.on("error", (error: NodeJS.ErrnoException) => end(outcomeOf(error)));
  socket.on("close", () => end("closed"));
  const line = (): string | undefined => {
    const length = heard.indexOf("\n");
    if (length < 0) return ended;
    const found = heard.slice(0, length);
    heard = heard.slice(length + 1);
    return found;
  };
  return {
    say: (text, timeoutMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => finish("timeout"), timeoutMs);
        const finish = (answer: string): void => {
          clearTimeout(timer);
          wake = () => undefined;
          resolve(answer);
        };
        wake = () => {
          const found = line();
          if (found !== undefined) finish(found);
        };
        if (text !== "" && ended === undefined) socket.write(`${text}\n`);
        wake();
      }),
    close: () => void socket.destroy(),
  };
}

function outcomeOf({ code = "" }: NodeJS.ErrnoException): string {
  if (code === "ECONNREFUSED" || code === "EPERM" || code === "EACCES") return "refused";
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH") return "unreachable";
  return code === "ECONNRESET" || code === "EPIPE" || code === "ECONNABORTED" ? "closed" : code;
}

function dial({ address, port, localPort }: { address: string; port: number; localPort?: number | undefined }): Talk {
  const socket = connect({
    host: address,
    port,
    ...(localPort === undefined ? {} : { localPort, localAddress: address.includes(":") ? "::" : "0.0.0.0" }),
  });
  socket.setNoDelay(true);
  return talkOver(socket);
}

/** Connects, hears the server's greeting and leaves, many times. The server closes first, so that the client's port is
 *  free again at once. */
async function ask(question: Extract<PeerQuestion, { do: "ask" }>): Promise<Record<string, number>> {
  const answers: Record<string, number> = {};
  for (let done = 0; done < question.times; done++) {
    let talk = dial(question);
    let answer = await talk.say("", question.timeoutMs);
    // The last acknowledgement of the connection before may still be on its way, on a slow machine.
    for (let tries = 0; answer === "EADDRNOTAVAIL" && tries < PORT_TRIES; tries++) {
      await Bun.sleep(PORT_WAIT_MS);
      talk = dial(question);
      answer = await talk.say("", question.timeoutMs);
    }
    if (/^(?:\d|[0-9a-f]*:)/.test(answer)) await talk.say("bye", question.timeoutMs);
    talk.close();
    const name = question.whole === true ? answer : (answer.split(" ")[0] ?? "");
    answers[name] = (answers[name] ?? 0) + 1;
  }
  return answers;
}

function serveTcp(address: string, port: number): Promise<() => Served> {
  return new Promise((resolve, reject) => {
    let count = 0;
    const open = new Set<Socket>();
    const server: Server = createServer((socket) => {
      count++;
      open.add(socket);
      socket.setNoDelay(true);
      socket.on("close", () => open.delete(socket));
      socket.on("error", () => undefined);
      const me = plain(socket.localAddress);
      socket.write(`${me} ${plain(socket.remoteAddress)} ${socket.remotePort}\n`);
      const lines = createInterface(socket);
      lines.on("line", (text) => {
        if (text === "bye") socket.end();
        else socket.write(`${me} ${text}\n`);
      });
      // It passes on the socket's error, such as a reset by a client whose connection was ended.
      lines.on("error", () => undefined);
    });
    server.on("error", reject);
    const close = () => {
      server.close();
      for (const socket of open) socket.destroy();
    };
    server.listen({ host: address, port, backlog: 511 }, () => resolve(() => ({ close, count: () => count })));
  });
}

interface Served {
  readonly close: () => void;
  readonly count: () => number;
}

function serveUdp(address: string, port: number): Promise<() => Served> {
  return new Promise((resolve, reject) => {
    let count = 0;
    const socket: Datagrams = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.on("message", (text, from) => {
      count++;
      socket.send(`${address} ${text} ${from.address} ${from.port}`, from.port, from.address);
    });
    socket.on("error", reject);
    socket.bind(port, address, () => resolve(() => ({ close: () => socket.close(), count: () => count })));
  });
}

/** Datagrams from one port to one address; the socket isn't connected, so that refusals stay unseen. */
function openUdp(address: string, port: number, localPort: number | undefined): Promise<Talk> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  let hear: (text: string, from: string) => void = () => undefined;
  socket.on("message", (text, from) => hear(text.toString(), from.address));
  socket.on("error", () => undefined);
  let number = 0;
  const talk: Talk = {
    say: (text, timeoutMs) =>
      new Promise((resolve) => {
        // An answer that comes late must not count for the next question.
        const mark = `${text}#${++number}`;
        const timer = setTimeout(() => resolve("timeout"), timeoutMs);
        hear = (heard, from) => {
          if (!heard.includes(` ${mark} `)) return;
          clearTimeout(timer);
          resolve(from === address ? heard.replace(mark, text) : `answer from ${from}`);
        };
        socket.send(mark, port, address, () => undefined);
      }),
    close: () => socket.close(),
  };
  return new Promise((resolve) => {
    socket.bind(localPort ?? 0, address.includes(":") ? "::" : "0.0.0.0", () => resolve(talk));
  });
}

/** An IPv4 address as such, not in the IPv6 form that a socket of both families gives. */
function plain(address: string | undefined): string {
  return (address ?? "").replace(/^::ffff:/, "");
}

async function answer(question: PeerQuestion): Promise<PeerAnswer["value"]> {
  switch (question.do) {
    case "serve": {
      const serve = question.protocol === "tcp" ? serveTcp : serveUdp;
      services.set(serviceKey(question), (await serve(question.address, question.port))());
      return "serving";
    }
    case "end": {
      services.get(serviceKey(question))?.close();
      services.delete(serviceKey(question));
      return "ended";
    }
    case "count":
      return services.get(serviceKey(question))?.count() ?? 0;
    case "ask":
      return ask(question);
    case "open": {
      const { address, port, localPort } = question;
      const talk = question.protocol === "tcp" ? dial(question) : await openUdp(address, port, localPort);
      connections.set(question.id, talk);
      return question.protocol === "tcp" ? talk.say("", question.timeoutMs) : "open";
    }
    case "say":
      return connections.get(question.connection)?.say(question.text, question.timeoutMs) ?? "closed";
    case "close":
      connections.get(question.connection)?.close();
      connections.delete(question.connection);
      return "closed";
  }
}

function serviceKey({ protocol, address, port }: { protocol: string; address: string; port: number }): string {
  return `${protocol} ${address} ${port}`;
}

function reply(answered: PeerAnswer): void {
  process.stdout.write(`${JSON.stringify(answered)}\n`);
}

const input = createInterface(process.stdin);
input.on("line", (line) => {
  const question = JSON.parse(line) as PeerQuestion;
  answer(question).then(
    (value) => reply({ id: question.id, value }),
    (error: Error) => reply({ id: question.id, error: error.message }),
  );
});
input.on("close", () => process.exit());
reply({ id: 0, value: "ready" });
