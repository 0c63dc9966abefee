/** `/master/state` of the leading master at `leader` (`<host>:<port>`): one agent, one framework with one task. */
export function sampleMesosState(leader: string): object {
  const task = {
    id: "nginx.1",
    name: "nginx",
    slave_id: "20150401-S1",
    framework_id: "F1",
    state: "TASK_RUNNING",
    resources: { ports: "[31000-31000]" },
    statuses: [],
  };
  return {
    leader: `master@${leader}`,
    slaves: [{ id: "20150401-S1", hostname: "10.1.1.1", pid: "slave(1)@10.1.1.1:5051" }],
    frameworks: [{ id: "F1", name: "marathon", hostname: "10.1.2.3", pid: "scheduler@10.1.2.3:8081", tasks: [task] }],
  };
}
