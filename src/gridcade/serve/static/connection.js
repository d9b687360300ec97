// The socket to the server, which is opened again when it breaks.

const FIRST_DELAY = 1000; // milliseconds
const LONGEST_DELAY = 30000;
const REFUSED = [4403, 4429]; // close codes of this server: not permitted, too many viewers

export class Connection {
  /** Args: receive(message); report(text): shows the state of the connection, "" when it is good. */
  constructor(receive, report) {
    Object.assign(this, { receive, report, delay: FIRST_DELAY });
    this.connect();
  }

  connect() {
    const address = new URL("live", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = location.search; // it may hold the server's token
    address.hash = "";
    this.socket = new WebSocket(address);
    this.socket.addEventListener("open", () => this.handleOpen());
    this.socket.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.handleClose(event));
  }

  handleOpen() {
    this.delay = FIRST_DELAY;
    this.report("");
  }

  handleClose(event) {
    if (REFUSED.includes(event.code)) {
      return this.report(event.reason || "The server refused the connection. Reload the page to try again.");
    }
    this.report("No connection to the server. Trying again; the learner will start over.");
    setTimeout(() => this.connect(), this.delay);
    this.delay = Math.min(2 * this.delay, LONGEST_DELAY);
    return undefined;
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
