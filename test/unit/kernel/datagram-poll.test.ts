import { expect } from "chai";
import { closeDatagram, DatagramBatch, openDatagram, portOf } from "../../../kernel/datagram.ts";
import { DatagramPoll } from "../../../kernel/datagram-poll.ts";
import { parseIp } from "../../../lib/address.ts";

const WAIT_MS = 900;

describe("waiting for datagrams", () => {
  const fds: number[] = [];
  const poll = new DatagramPoll(3);
  let client: Bun.udp.Socket<"buffer">;

  before(async () => {
    for (const ip of ["127.0.0.1", "::1", "127.0.0.1"]) {
      const fd = openDatagram({ ip: parseIp(ip), port: 0, receiveBytes: 1 << 16, waitMs: 100 });
      fds.push(fd);
      poll.add(fd);
    }
    client = await Bun.udpSocket({ hostname: "127.0.0.1" });
  });

  after(() => {
    client.close();
    for (const fd of fds) closeDatagram(fd);
  });

  function ready(): boolean[] {
    return fds.map((_, index) => poll.hasSome(index));
  }

  it("is in vain as long as none comes", () => {
    expect(poll.wait(1)).to.equal(false);
  });

  it("tells which sockets have one, until it was taken", () => {
    const batch = new DatagramBatch(4, 64);
    const send = (index: number) => client.send("x", portOf(fds[index] ?? -1), "127.0.0.1");
    send(2);
    expect(poll.wait(WAIT_MS)).to.equal(true);
    expect(ready()).to.deep.equal([false, false, true]);
    send(0);
    expect(poll.wait(WAIT_MS)).to.equal(true);
    expect(ready()).to.deep.equal([true, false, true]);
    expect(batch.receive(fds[2] ?? -1, false)).to.equal(1);
    expect(poll.wait(WAIT_MS)).to.equal(true);
    expect(ready()).to.deep.equal([true, false, false]);
    expect(batch.receive(fds[0] ?? -1, false)).to.equal(1);
    expect(poll.wait(1)).to.equal(false);
  });
});
