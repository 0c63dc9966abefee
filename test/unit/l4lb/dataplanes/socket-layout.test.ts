import { expect } from "chai";
import fc from "fast-check";
import {
  ENDPOINT_BYTES,
  endpointAt,
  PAIR_BYTES,
  pairKey,
  SERVICE_VALUE,
  type ServiceValue,
  serviceAt,
  serviceKey,
  slotAt,
  slotKey,
  writeService,
  writeSlot,
} from "../../../../l4lb/dataplanes/socket-layout.ts";
import type { Backend, ServiceKey } from "../../../../l4lb/service.ts";
import { type Ip, parseIp } from "../../../../lib/address.ts";
import { toHex } from "../../../../lib/bytes.ts";

const ip: fc.Arbitrary<Ip> = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value): Ip => ({ family: 4, value })),
  fc.bigInt({ min: 2n ** 48n, max: 2n ** 128n - 1n }).map((value): Ip => ({ family: 6, value })),
);
const port = fc.integer({ min: 1, max: 65_535 });
const key: fc.Arbitrary<ServiceKey> = fc.record({ protocol: fc.constantFrom("tcp", "udp"), ip, port });
const backend: fc.Arbitrary<Backend> = fc.record({ ip, port, weight: fc.integer({ min: 0, max: 65_535 }) });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const value: fc.Arbitrary<ServiceValue> = fc.record({
  version: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  choices: u32,
  backends: u32,
  scheduler: fc.constantFrom("wlc", "rr", "sh", "mh"),
  affinity: u32,
});

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

describe("bytes that the programs on sockets share", () => {
  it("what is written is read back", () => {
    const space = new DataView(new ArrayBuffer(64));
    fc.assert(
      fc.property(key, backend, value, u32, u32, (service, target, kept, threshold, alias) => {
        expect(endpointAt(viewOf(serviceKey(service)), 0)).to.deep.equal(service);
        const pair = pairKey(service, target);
        expect(pair).to.have.length(PAIR_BYTES);
        expect(endpointAt(viewOf(pair), 0)).to.deep.equal(service);
        const { ip: address, port: number } = target;
        expect(endpointAt(viewOf(pair), ENDPOINT_BYTES)).to.deep.equal({ ...service, ip: address, port: number });
        writeService(space, 8, kept);
        expect(serviceAt(space, 8)).to.deep.equal(kept);
        const slot = { backend: target, threshold, alias, total: kept.version };
        writeSlot(space, 16, slot);
        expect(slotAt(space, 16)).to.deep.equal(slot);
      }),
    );
  });

  it("IPv4 addresses are written as IPv6 sockets know them", () => {
    const service: ServiceKey = { protocol: "tcp", ip: parseIp("11.0.0.1"), port: 80 };
    expect(toHex(serviceKey(service))).to.equal("00000000000000000000ffff0b000001" + "0050" + "0600");
    expect(toHex(slotKey(5n, 2))).to.equal("0500000000000000" + "02000000" + "00000000");
  });

  it("what isn't ours is nothing", () => {
    expect(endpointAt(viewOf(new Uint8Array(ENDPOINT_BYTES)), 0)).to.equal(undefined);
    expect(serviceAt(viewOf(new Uint8Array(SERVICE_VALUE.bytes).fill(7)), 0)).to.equal(undefined);
  });
});
