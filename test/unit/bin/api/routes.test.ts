import { readFileSync } from "node:fs";
import { expect } from "chai";
import { metricsPage } from "../../../../bin/api/metrics.ts";
import { routes } from "../../../../bin/api/routes.ts";
import { Traffic } from "../../../../bin/api/traffic.ts";
import { sampleState } from "../../../support/api-state.ts";

describe("the routes", () => {
  const { state } = sampleState();
  const all = routes(state, metricsPage({ state, traffic: new Traffic() }));
  const names = all.map(({ method, path }) => `${method} ${path}`);

  it("are those that docs/api.md explains, each in a section and in the table", () => {
    const text = readFileSync(new URL("../../../../docs/api.md", import.meta.url), "utf8");
    const sections = [...text.matchAll(/^## ((?:GET|POST) .+)$/gm)].map(([, name]) => name);
    const rows = [...text.matchAll(/^\| \[`([^`]+)`\]/gm)].map(([, name]) => name);
    const others = names.filter((name) => name !== "GET /");
    expect(sections).to.deep.equal(others);
    expect(rows).to.deep.equal(others);
  });

  it("take only the parameters that they know", async () => {
    for (const { path, answer } of all) {
      const question = { name: "web", query: new URLSearchParams("nonsense=1"), body: undefined };
      const said = await Promise.resolve()
        .then(() => answer(question))
        .then(
          () => "answered",
          (error: Error) => error.message,
        );
      expect(said, path).to.include('query parameter "nonsense"');
    }
  });
});
