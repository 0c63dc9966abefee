import { expect } from "chai";
import { MesosDnsApi } from "../../../../dns/mesos/api.ts";
import { readMesosDnsConfig } from "../../../../dns/mesos/config.ts";
import type { MesosRecord } from "../../../../dns/mesos/records.ts";

const RECORDS: readonly MesosRecord[] = [
  { name: "nginx.marathon.mesos.", rtype: "A", host: "10.3.0.3" },
  { name: "nginx.marathon.mesos.", rtype: "AAAA", host: "fd01::3" },
  { name: "_nginx._tcp.marathon.mesos.", rtype: "SRV", host: "nginx.marathon.mesos.:31364" },
];

function ask(path: string, { method = "GET", accept = "", config = "" } = {}) {
  const text = `{"masters":["10.0.0.1:5050"],"mesosCredentials":{"principal":"p","secret":"hidden"}${config}}`;
  const tasks = [{ framework: "marathon", name: "nginx", id: "nginx.1", records: RECORDS.slice(0, 1) }];
  const made = { records: RECORDS, tasks };
  const state = { config: readMesosDnsConfig(text, "config.json", 7), made, serial: 7, version: "1" };
  const { status, body } = new MesosDnsApi(() => state).answer({ method, path, accept });
  return { status, value: status === 200 ? (JSON.parse(body) as unknown) : body };
}

describe("the HTTP API of Mesos-DNS", () => {
  it("tells the addresses of a host, whatever its case, closing dot or wildcard", () => {
    const expected = ["10.3.0.3", "fd01::3"].map((ip) => ({ host: "nginx.marathon.mesos.", ip }));
    for (const name of ["nginx.marathon.mesos", "NGINX.marathon.mesos.", "nginx.*.marathon.mesos"])
      expect(ask(`/v1/hosts/${name}`).value).to.deep.equal(expected);
  });

  it("tells the endpoints of a service, with ports as text and the name as it was asked", () => {
    const service = "_Nginx._tcp.marathon.mesos.";
    expect(ask(`/v1/services/${service}`).value).to.deep.equal(
      ["10.3.0.3", "fd01::3"].map((ip) => ({ service, host: "nginx.marathon.mesos.", ip, port: "31364" })),
    );
  });

  it("answers for unknown names with one blank element", () => {
    expect(ask("/v1/hosts/no.mesos")).to.deep.equal({ status: 200, value: [{ host: "", ip: "" }] });
    expect(ask("/v1/services/no.mesos").value).to.deep.equal([{ service: "", host: "", ip: "", port: "" }]);
  });

  it("shows its configuration without the secret", () => {
    const { value } = ask("/v1/config");
    expect(value).to.deep.include({ Domain: "mesos", MesosCredentials: { Principal: "p", Secret: "" } });
    expect(Object.keys(value as object).length).to.equal(38);
  });

  it("enumerates by framework", () => {
    expect(ask("/v1/enumerate").value).to.deep.equal({
      frameworks: [{ tasks: [{ name: "nginx", id: "nginx.1", records: RECORDS.slice(0, 1) }], name: "marathon" }],
    });
    expect(ask("/v1/enumerate", { config: ',"EnumerationOn":false' }).status).to.equal(404);
  });

  it("refuses what the real one refuses", () => {
    expect(ask("/v1/nothing").status).to.equal(404);
    expect(ask("/v1/version", { method: "POST" }).status).to.equal(405);
    expect(ask("/v1/version", { accept: "text/html" }).status).to.equal(406);
    expect(ask("/v1/hosts/a.mesos/ports").status).to.equal(501);
  });
});

describe("the configuration of Mesos-DNS", () => {
  const problemsOf = (text: string): string => {
    try {
      readMesosDnsConfig(text, "config.json", 1);
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };

  it("is read with keys in any case, unknown ones ignored", () => {
    const config = readMesosDnsConfig('{"MASTERS":["a:1"],"ttl":9,"email":"x","soarname":"root@x"}', "c", 5);
    expect(config).to.deep.include({ TTL: 9, SOARname: "root.x.", SOASerial: 5, Domain: "mesos" });
  });

  for (const [text, problem] of [
    ["{}", "neither Zk nor Masters"],
    ['{"masters":["a:0"]}', "a:0 is not"],
    ['{"masters":["10.0.0.1:1","10.0.0.1:1"]}', "twice"],
    ['{"masters":["a:1"],"refreshSeconds":0}', "RefreshSeconds can't be 0"],
    ['{"masters":["a:1"],"IPSources":["x"]}', "IPSources has x"],
    ['{"masters":["a:1"],"domain":"a..b"}', "Domain is a..b"],
    ["[]", "not a JSON object"],
  ] as const) {
    it(`is refused when ${problem}`, () => {
      expect(problemsOf(text)).to.include(problem);
    });
  }
});
