import type { Socket } from "bun";
import { formatIp } from "../../lib/address.ts";
import type { Cancel } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { TCP_BYTES } from "../codes.ts";
import type { Endpoint } from "../endpoint.ts";

/** Told what comes of a message that was sent; either is called any number of times until the exchange is called off,
 *  and never before the call that sends it has returned. */
export interface Replies {
  message(bytes: Uint8Array): void;
  /** Nothing can come any more; `said` is the other side's or the kernel's word. */
  failed(said: string): void;
}

/** How upstreams are reached. Each exchange has a socket of its own, so that its port is as hard to guess as the kernel
 *  can make it, and what others send to that socket never arrives (RFC 5452 section 9.2). What is returned ends it. */
export interface UpstreamNetwork {
  udp(to: Endpoint, message: Uint8Array, replies: Replies): Cancel;
  tcp(to: Endpoint, message: Uint8Array, replies: Replies): Cancel;
}

/** The machine's own network. */
export const systemNetwork: UpstreamNetwork = { udp, tcp };

function udp({ ip, port }: Endpoint, message: Uint8Array, replies: Replies): Cancel {
  let ended = false;
  let close = (): void => {};
  const fail = (error: unknown): void => {
    if (!ended) replies.failed(messageOf(error));
  };
  const socket = {
    data(_: unknown, bytes: Uint8Array) {
      if (!ended) replies.message(Uint8Array.from(bytes));
    },
    // A connected socket is told when nobody listens there.
    error: (...given: readonly unknown[]) => fail(given.at(-1)),
  };
  // Where there is no route, opening and sending throw instead of rejecting.
  // Bun takes an IPv4 socket when it isn't told otherwise.
  const hostname = ip.family === 6 ? "::" : "0.0.0.0";
  Promise.try(() => Bun.udpSocket({ hostname, connect: { hostname: formatIp(ip), port }, socket }))
    .then((opened) => {
      close = () => opened.close();
      if (ended) close();
      else if (!opened.send(message)) throw new Error("the send buffer is full");
    })
    .catch(fail);
  return () => {
    ended = true;
    close();
    close = () => {};
  };
}

function tcp({ ip, port }: Endpoint, message: Uint8Array, replies: Replies): Cancel {
  let ended = false;
  let close = (): void => {};
  let received: Uint8Array = new Uint8Array(0);
  const fail = (said: string): void => {
    if (!ended) replies.failed(said);
  };
  const socket = {
    open(opened: Socket) {
      opened.write(Buffer.concat([Uint8Array.of(message.length >> 8, message.length & 0xff), message]));
    },
    data(_: unknown, bytes: Uint8Array) {
      if (ended) return;
      received = Buffer.concat([received, bytes]);
      const length = ((received[0] ?? 0) << 8) | (received[1] ?? 0);
      if (received.length >= 2 && received.length >= length + 2) {
        const whole = Uint8Array.from(received.subarray(2, length + 2));
        received = received.subarray(length + 2);
        replies.message(whole);
      } else if (received.length > TCP_BYTES + 2) fail("it sends more than one message can have");
    },
    close: () => fail("it closed the connection"),
    error: (_: unknown, error: Error) => fail(messageOf(error)),
    connectError: (_: unknown, error: Error) => fail(messageOf(error)),
  };
  Promise.try(() => Bun.connect({ hostname: formatIp(ip), port, socket }))
    .then((opened) => {
      close = () => opened.terminate();
      if (ended) close();
    })
    .catch((error: unknown) => fail(messageOf(error)));
  return () => {
    ended = true;
    close();
    close = () => {};
  };
}
