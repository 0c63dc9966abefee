/** A server that tells each client which address and port it came from, over TCP and UDP: how a test learns what the
 *  world sees. Arguments: port, then the addresses to listen on. Prints `ready` when it does. */
const [port = "", ...addresses] = process.argv.slice(2);

for (const hostname of addresses) {
  Bun.listen({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => {
        socket.end(`${socket.remoteAddress} ${socket.remotePort}\n`);
      },
      data: () => undefined,
    },
  });
  await Bun.udpSocket({
    hostname,
    port: Number(port),
    socket: {
      data: (socket, _data, remotePort, remoteAddress) => {
        socket.send(`${remoteAddress} ${remotePort}\n`, remotePort, remoteAddress);
      },
    },
  });
}
console.log("ready");

export {};
