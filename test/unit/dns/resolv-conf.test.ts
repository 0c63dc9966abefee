import { expect } from "chai";
import fc from "fast-check";
import { isOwnResolvConf, parseResolvConf, renderResolvConf, upstreamsOf } from "../../../dns/resolv-conf.ts";
import { formatIp, parseIp } from "../../../lib/address.ts";

const OWN = ["198.51.100.1", "198.51.100.2", "198.51.100.3", "fd01:d::c633:6401"].map(parseIp);
const WORDS = [
  "nameserver",
  "search",
  "options",
  "domain",
  " ",
  "\t",
  "\n",
  "#",
  "198.51.100.1",
  "10.0.0.53",
  "é",
  "\0",
];

describe("resolv.conf", () => {
  it("is read as glibc reads it: the last search or domain counts, comments and unknown words don't", () => {
    const text = `# nameserver 1.1.1.1
; nameserver 2.2.2.2
nameserver 10.0.0.53 second word
nameserver\tfe80::1%eth0
domain old.example
search corp.example lab.example
options ndots:2 rotate
options edns0
sortlist 10.0.0.0/8
lookup file bind
 nameserver 3.3.3.3
`;
    expect(parseResolvConf(text)).to.deep.equal({
      servers: ["10.0.0.53", "fe80::1%eth0"],
      search: ["corp.example", "lab.example"],
      options: ["ndots:2", "rotate", "edns0"],
      sortlist: ["10.0.0.0/8"],
    });
  });

  it("leads to three of our addresses and to nobody else, with the search list and options from before", () => {
    const before = parseResolvConf("nameserver 10.0.0.53\nsearch corp.example\noptions timeout:5 ndots:2\n");
    const text = renderResolvConf({ servers: OWN, search: ["dcos.example", "corp.example"], before });
    expect(text.split("\n").slice(1)).to.deep.equal([
      "nameserver 198.51.100.1",
      "nameserver 198.51.100.2",
      "nameserver 198.51.100.3",
      "search dcos.example corp.example",
      "options timeout:1 attempts:3 ndots:2",
      "",
    ]);
    expect(isOwnResolvConf(text)).to.equal(true);
    expect(isOwnResolvConf("nameserver 198.51.100.1\n")).to.equal(false);
  });

  it("names upstreams, but never ourselves, in whatever form, nor what is no address", () => {
    const servers = ["198.51.100.1", "10.0.0.53", "FD01:D:0::C633:6401", "fe80::1%eth0", "10.0.0.53", "2001:DB8::1"];
    const conf = { servers, search: [], options: [], sortlist: [] };
    expect(upstreamsOf(conf, OWN).map(formatIp)).to.deep.equal(["10.0.0.53", "2001:db8::1"]);
  });

  it("says after a round trip what it was to say, however the file before it looks", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...WORDS), { maxLength: 40 }), (words) => {
        const before = parseResolvConf(words.join(""));
        const own = parseResolvConf(renderResolvConf({ servers: OWN, search: [], before }));
        expect(own.servers).to.deep.equal(OWN.slice(0, 3).map(formatIp));
        expect(upstreamsOf(own, OWN)).to.deep.equal([]);
      }),
    );
  });
});
