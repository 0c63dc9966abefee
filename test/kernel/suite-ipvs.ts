import { expect } from "chai";
import type { IpvsDestination, IpvsOperation, IpvsService, IpvsServiceKey } from "../../kernel/ipvs.ts";
import { describeIpvs } from "../../kernel/ipvs-message.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { parseIp } from "../../lib/address.ts";
import { NetError } from "../../lib/error.ts";
import { type Fixture, textOf } from "./fixture.ts";
import { up } from "./operations.ts";

const TCP = 6;
const UDP = 17;
const SCTP = 132;

const WEB: IpvsServiceKey = { protocol: TCP, ip: parseIp("11.0.0.1"), port: 80 };
const WEB6: IpvsServiceKey = { protocol: TCP, ip: parseIp("fd01:c::1"), port: 80 };
const PLAIN = { scheduler: "wlc", persistence: 0, onePacket: false, schedulerFlags: 0 };

function service(key: IpvsServiceKey, rest: Partial<typeof PLAIN> = {}): IpvsService {
  return { ...key, ...PLAIN, ...rest };
}

function end(ip: string, port: number, rest: Partial<IpvsDestination> = {}): IpvsDestination {
  return { ip: parseIp(ip), port, forwarding: "masquerade", weight: 1, ...rest };
}

function addService(key: IpvsServiceKey, rest: Partial<typeof PLAIN> = {}): IpvsOperation {
  return { do: "service.add", service: service(key, rest) };
}

function addEnd(key: IpvsServiceKey, destination: IpvsDestination): IpvsOperation {
  return { do: "destination.add", service: key, destination };
}

function must({ ipvs }: Kernel, operations: readonly IpvsOperation[]): void {
  for (const error of ipvs.attempt(operations)) if (error !== undefined) throw error;
}

/** Services with their destinations as text, in an order of their own. */
function listed({ ipvs }: Kernel): string[] {
  return ipvs
    .services()
    .map(
      ({ counters: _, ...rest }) =>
        `${textOf(rest)} -> ${ipvs
          .destinations(rest)
          .map(({ ip, port, forwarding, weight }) => textOf({ ip, port, forwarding, weight }))
          .sort()
          .join(" | ")}`,
    )
    .sort();
}

/** Expects the operation to be refused so, in its own words, with nothing changed. */
function refuses(kernel: Kernel, operation: IpvsOperation, errno: string): void {
  const before = listed(kernel);
  const [error] = kernel.ipvs.attempt([operation]);
  expect(error, describeIpvs(operation)).to.be.instanceOf(NetError);
  if (!(error instanceof NetError)) return;
  expect(error.errno, error.message).to.equal(errno);
  expect(error.tried).to.equal(describeIpvs(operation));
  expect(listed(kernel)).to.deep.equal(before);
}

/** Cases about virtual services and their destinations, for every kernel that has them. */
export function ipvsCases(current: () => Fixture): void {
  beforeEach(() => current().kernel.apply([up("lo")]));

  it("a namespace begins without services", () => {
    expect(current().kernel.ipvs.services()).to.deep.equal([]);
    expect(current().kernel.ipvs.destinations(WEB)).to.deep.equal([]);
  });

  it("services and destinations come back as they were given", () => {
    const { kernel } = current();
    const dns: IpvsServiceKey = { protocol: UDP, ip: parseIp("11.0.0.1"), port: 53 };
    const mark: IpvsServiceKey = { family: 4, mark: 7 };
    must(kernel, [
      addService(WEB),
      addEnd(WEB, end("9.0.1.5", 8080, { weight: 65_535 })),
      addEnd(WEB, end("9.0.1.5", 8081, { weight: 0 })),
      addService(WEB6, { scheduler: "sh", schedulerFlags: 3 }),
      addEnd(WEB6, end("fd01:b::5", 8080, { weight: 2_000_000_000 })),
      addService(dns, { scheduler: "rr", onePacket: true }),
      addEnd(dns, end("9.0.1.6", 53)),
      addService({ protocol: SCTP, ip: parseIp("11.0.0.2"), port: 9 }, { scheduler: "mh", persistence: 300 }),
      addService(mark, { schedulerFlags: 4 }),
      addEnd(mark, end("9.0.1.7", 80, { forwarding: "route" })),
    ]);
    expect(listed(kernel)).to.deep.equal(
      [
        "ip 11.0.0.1 onePacket false persistence 0 port 80 protocol 6 scheduler wlc schedulerFlags 0 -> forwarding masquerade ip 9.0.1.5 port 8080 weight 65535 | forwarding masquerade ip 9.0.1.5 port 8081 weight 0",
        "ip fd01:c::1 onePacket false persistence 0 port 80 protocol 6 scheduler sh schedulerFlags 3 -> forwarding masquerade ip fd01:b::5 port 8080 weight 2000000000",
        "ip 11.0.0.1 onePacket true persistence 0 port 53 protocol 17 scheduler rr schedulerFlags 0 -> forwarding masquerade ip 9.0.1.6 port 53 weight 1",
        "ip 11.0.0.2 onePacket false persistence 300 port 9 protocol 132 scheduler mh schedulerFlags 0 -> ",
        "family 4 mark 7 onePacket false persistence 0 scheduler wlc schedulerFlags 4 -> forwarding route ip 9.0.1.7 port 80 weight 1",
      ].sort(),
    );
    const [counters] = kernel.ipvs.services().map((each) => each.counters);
    expect(counters).to.deep.equal({ connections: 0, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 });
  });

  it("setting changes a service or a destination, and nothing else", () => {
    const { kernel } = current();
    must(kernel, [addService(WEB), addEnd(WEB, end("9.0.1.5", 80)), addEnd(WEB, end("9.0.1.6", 80))]);
    must(kernel, [
      { do: "service.set", service: service(WEB, { scheduler: "rr", persistence: 60, schedulerFlags: 4 }) },
      { do: "destination.set", service: WEB, destination: end("9.0.1.6", 80, { weight: 0 }) },
    ]);
    expect(listed(kernel)).to.deep.equal([
      "ip 11.0.0.1 onePacket false persistence 60 port 80 protocol 6 scheduler rr schedulerFlags 4 -> forwarding masquerade ip 9.0.1.5 port 80 weight 1 | forwarding masquerade ip 9.0.1.6 port 80 weight 0",
    ]);
    must(kernel, [{ do: "service.set", service: service(WEB) }]);
    expect(listed(kernel)[0]).to.include("persistence 0");
  });

  it("deleting a destination leaves the others; deleting a service takes its own along", () => {
    const { kernel } = current();
    must(kernel, [addService(WEB), addService(WEB6), addEnd(WEB, end("9.0.1.5", 80)), addEnd(WEB, end("9.0.1.6", 80))]);
    must(kernel, [{ do: "destination.delete", service: WEB, destination: end("9.0.1.5", 80) }]);
    expect(kernel.ipvs.destinations(WEB).map(({ ip }) => textOf(ip))).to.deep.equal(["9.0.1.6"]);
    must(kernel, [{ do: "service.delete", service: WEB }]);
    expect(kernel.ipvs.services()).to.have.lengthOf(1);
    expect(kernel.ipvs.destinations(WEB)).to.deep.equal([]);
  });

  it("what is there can't be added, and what isn't can't be changed", () => {
    const { kernel } = current();
    refuses(kernel, { do: "service.set", service: service(WEB) }, "ESRCH");
    refuses(kernel, { do: "service.delete", service: WEB }, "ESRCH");
    refuses(kernel, addEnd(WEB, end("9.0.1.5", 80)), "ESRCH");
    must(kernel, [addService(WEB), addEnd(WEB, end("9.0.1.5", 80))]);
    refuses(kernel, addService(WEB), "EEXIST");
    refuses(kernel, addEnd(WEB, end("9.0.1.5", 80)), "EEXIST");
    refuses(kernel, { do: "destination.set", service: WEB, destination: end("9.0.1.6", 80) }, "ENOENT");
    refuses(kernel, { do: "destination.delete", service: WEB, destination: end("9.0.1.6", 80) }, "ENOENT");
    refuses(kernel, { do: "destination.delete", service: WEB6, destination: end("fd01:b::5", 80) }, "ESRCH");
  });

  it("what makes no sense is refused", () => {
    const { kernel } = current();
    refuses(kernel, addService(WEB, { scheduler: "none-such" }), "ENOENT");
    must(kernel, [addService(WEB), addService(WEB6), addEnd(WEB, end("9.0.1.5", 80))]);
    refuses(kernel, { do: "service.set", service: service(WEB, { scheduler: "none-such" }) }, "ENOENT");
    refuses(kernel, addEnd(WEB, end("fd01:b::5", 80)), "EINVAL");
    refuses(kernel, addEnd(WEB6, end("9.0.1.5", 80)), "EINVAL");
    refuses(kernel, addEnd(WEB, end("9.0.1.6", 80, { weight: -1 })), "ERANGE");
    refuses(kernel, { do: "destination.set", service: WEB, destination: end("9.0.1.5", 80, { weight: -1 }) }, "ERANGE");
    for (const ip of ["224.0.0.1", "0.0.0.0", "255.255.255.255"]) refuses(kernel, addEnd(WEB, end(ip, 80)), "EINVAL");
    for (const ip of ["ff02::1", "fe80::1"]) refuses(kernel, addEnd(WEB6, end(ip, 80)), "EINVAL");
  });

  it("a batch goes on after a refusal, and says which it was", () => {
    const { kernel } = current();
    const many = Array.from({ length: 1500 }, (_, index) => addEnd(WEB, end("9.0.1.5", 1 + (index % 1000))));
    const outcome = kernel.ipvs.attempt([addService(WEB), ...many, addService(WEB6)]);
    expect(outcome.findIndex((error) => error !== undefined)).to.equal(1001);
    expect(outcome.filter((error) => error !== undefined)).to.have.lengthOf(500);
    expect(kernel.ipvs.destinations(WEB)).to.have.lengthOf(1000);
    expect(kernel.ipvs.services()).to.have.lengthOf(2);
  });

  it("a namespace without any IPv4 address takes no IPv4 destinations", () => {
    const { kernel } = current().another();
    must(kernel, [addService(WEB)]);
    refuses(kernel, addEnd(WEB, end("9.0.1.5", 80)), "EINVAL");
    kernel.apply([up("lo")]);
    must(kernel, [addEnd(WEB, end("9.0.1.5", 80))]);
  });

  it("each namespace has its own services", () => {
    const { kernel, another } = current();
    const other = another();
    refuses(other.kernel, { do: "service.delete", service: WEB }, "ESRCH");
    must(kernel, [addService(WEB)]);
    must(other.kernel, [addService(WEB), addService(WEB6)]);
    expect(kernel.ipvs.services()).to.have.lengthOf(1);
    expect(other.kernel.ipvs.services()).to.have.lengthOf(2);
  });
}
