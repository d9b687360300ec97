// The WebSocket to the server, which is opened again when the connection breaks.

const FIRST_DELAY = 1000; // milliseconds
const LONGEST_DELAY = 30000;
// The server counts the sockets of one page as one viewer.
const VIEWER = crypto.getRandomValues(new Uint32Array(4)).join("-");
// Close codes of this server.
const NOT_PERMITTED = 4403;
const NO_ROOM = 4429; // too many viewers, or sockets of this page

export class Connection {
  /**
   * Args: path of the socket, relative to the page; receive(message); report(text): shows a problem
   * of the connection, "" when there is none; receiveBytes(buffer): receives binary messages.
   */
  constructor(path, receive, report, receiveBytes = null) {
    Object.assign(this, { path, receive, report, receiveBytes, delay: FIRST_DELAY });
    this.connect();
  }

  connect() {
    const address = new URL(this.path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = location.search; // the page's address may hold the server's token
    address.searchParams.set("viewer", VIEWER);
    address.hash = "";
    this.socket = new WebSocket(address);
    this.socket.addEventListener("open", () => this.handleOpen());
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", ({ data }) => this.handleMessage(data));
    this.socket.addEventListener("close", (event) => this.handleClose(event));
  }

  handleMessage(data) {
    if (typeof data === "string") this.receive(JSON.parse(data));
    else this.receiveBytes?.(data);
  }

  handleOpen() {
    this.delay = FIRST_DELAY;
    this.report("");
  }

  handleClose(event) {
    if (this.isClosed) return undefined;
    if (event.code === NOT_PERMITTED) {
      return this.report("The server refused the connection. Reload the page to try again.");
    }
    const noRoom = event.code === NO_ROOM;
    this.report(noRoom ? "The server accepts no more connections now. Trying again." : "No connection to the server. Trying again; this page will start over.");
    setTimeout(() => this.connect(), this.delay);
    this.delay = Math.min(2 * this.delay, LONGEST_DELAY);
    return undefined;
  }

  /** Closes the socket for good. */
  close() {
    this.isClosed = true;
    this.socket.close();
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
