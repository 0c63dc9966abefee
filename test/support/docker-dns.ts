/** A resolver that answers every question for an IPv4 address (RFC 1035) with 203.0.113.7. Argument: the address to
 *  listen on, at port 53. Prints `ready` when it does. */
const [hostname = ""] = process.argv.slice(2);
const ADDRESS = [203, 0, 113, 7];
const HEADER_BYTES = 12;

await Bun.udpSocket({
  hostname,
  port: 53,
  socket: {
    data: (socket, query, port, address) => {
      const end = query.indexOf(0, HEADER_BYTES) + 5;
      const question = query.subarray(HEADER_BYTES, end);
      const isV4 = question[question.length - 3] === 1;
      const head = [query[0] ?? 0, query[1] ?? 0, 0x81, 0x80, 0, 1, 0, isV4 ? 1 : 0, 0, 0, 0, 0];
      // The name is the question's, at offset 12; then type A, class IN, a lifetime of 1 s and four bytes.
      const answer = isV4 ? [0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...ADDRESS] : [];
      socket.send(new Uint8Array([...head, ...question, ...answer]), port, address);
    },
  },
});
console.log("ready");

export {};
