import { expect } from "chai";
import { closeDatagram, DatagramBatch, openDatagram, portOf } from "../../../kernel/datagram.ts";
import { systemCall } from "../../../kernel/ffi.ts";
import { parseIp } from "../../../lib/address.ts";

const SOL_SOCKET = 1;
/** Datagrams without checksums, which the kernel doesn't make of segments. */
const SO_NO_CHECK = 11;
/** Lengths of what each client sends, and gets back: equal ones, a single one, and some too long to be joined. */
const LENGTHS = [20, 20, 33, 20, 512, 512, 33, 33, 700, 700, 20, 1];

interface Client {
  readonly socket: Bun.udp.Socket<"buffer">;
  readonly got: string[];
}

async function clientOf(hostname: string): Promise<Client> {
  const got: string[] = [];
  const socket = await Bun.udpSocket({
    hostname,
    socket: { data: (_, bytes) => void got.push(bytes.toString("hex")) },
  });
  return { socket, got };
}

/** Text that only this datagram of this client has. */
const content = (client: number, index: number, length: number) => Buffer.alloc(length, client * 16 + index);

/** Echoes everything that `count` clients send, in batches, and gives what each of them got. */
async function echoed(hostname: string, prepare: (fd: number) => void = () => {}): Promise<string[][]> {
  const fd = openDatagram({ ip: parseIp(hostname), port: 0, receiveBytes: 1 << 20, waitMs: 1000 });
  const clients = await Promise.all([1, 2, 3].map(() => clientOf(hostname)));
  try {
    prepare(fd);
    for (const [index, length] of LENGTHS.entries()) {
      for (const [number, { socket }] of clients.entries())
        socket.send(content(number, index, length), portOf(fd), hostname);
    }
    const batch = new DatagramBatch(64, 2048);
    for (let left = LENGTHS.length * clients.length; left > 0; ) {
      const received = batch.receive(fd, true);
      if (received === 0) throw new Error(`${left} did not come`);
      for (let index = 0; index < received; index++) {
        const from = batch.offsetOf(index);
        const length = batch.lengthOf(index);
        batch.output.set(batch.input.subarray(from, from + length), batch.offsetOf(batch.nextReply));
        batch.reply(index, length);
      }
      batch.send(fd);
      left -= received;
    }
    for (const end = performance.now() + 5000; clients.some(({ got }) => got.length < LENGTHS.length); ) {
      if (performance.now() > end) break;
      await Bun.sleep(2);
    }
    return clients.map(({ got }) => got.sort());
  } finally {
    closeDatagram(fd);
    for (const { socket } of clients) socket.close();
  }
}

const wanted = [0, 1, 2].map((client) =>
  LENGTHS.map((length, index) => content(client, index, length).toString("hex")).sort(),
);

describe("replies that go out together", () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    it(`reach whom they are for, each as a datagram of its own, from ${hostname}`, async () => {
      expect(await echoed(hostname)).to.deep.equal(wanted);
    });
  }

  it("reach them also where the kernel makes no segments", async () => {
    const withoutChecksums = (fd: number) => {
      const on = new Uint8Array(Int32Array.of(1).buffer);
      systemCall("switch checksums off", "setsockopt", fd, SOL_SOCKET, SO_NO_CHECK, on, on.length);
    };
    expect(await echoed("127.0.0.1", withoutChecksums)).to.deep.equal(wanted);
  });
});
