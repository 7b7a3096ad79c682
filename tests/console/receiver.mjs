// A receiver of webhooks on loopback that answers as it is told and remembers what it was sent.

import { createServer } from "node:http";

import { until } from "./browser.mjs";

export class Receiver {
  status = 204;
  requests = [];

  static async listen() {
    const receiver = new Receiver();
    receiver.server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        receiver.requests.push({ method: request.method, headers: request.headers, body, status: receiver.status });
        response.writeHead(receiver.status);
        response.end(receiver.status === 204 ? undefined : `this is status ${receiver.status}`);
      });
    });
    await new Promise((done) => receiver.server.listen(0, "127.0.0.1", done));
    receiver.uri = `http://127.0.0.1:${receiver.server.address().port}/calls`;
    return receiver;
  }

  /** The first request that is like this, as soon as there is one. */
  got(like, what) {
    return until(() => this.requests.find(like), `the receiver gets ${what}`);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
