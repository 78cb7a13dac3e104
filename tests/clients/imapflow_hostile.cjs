// imapflow parses every answer about hostile mail: HOST IMAPS CA USER PASSWORD MAILBOX FOLDER
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { ImapFlow } = require("imapflow");

const [host, port, ca, user, pass, mailbox, folder] = process.argv.slice(2);
const logged = [];
const quiet = () => {};
const client = new ImapFlow({
  host: "127.0.0.1",
  port: Number(port),
  secure: true,
  servername: host,
  tls: { ca: fs.readFileSync(ca), servername: host },
  auth: { user, pass },
  // What it does not understand it only logs.
  logger: { debug: quiet, info: quiet, trace: quiet, warn: (entry) => logged.push(entry), error: (entry) => logged.push(entry) },
});

async function main() {
  const files = fs.readdirSync(folder).sort();
  const failures = [];
  await client.connect();
  await client.mailboxOpen(mailbox, { readOnly: true });
  const query = {
    uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true, headers: true,
    source: true, bodyParts: ["1", "1.mime", "text", "header"],
  };
  const all = [query, { uid: true, flags: true, headers: ["subject", "from", "x"], threadId: true }];
  for (const [at, name] of files.entries()) {
    for (const asked of all) {
      logged.length = 0;
      let message;
      try {
        message = await client.fetchOne(String(at + 1), asked);
      } catch (error) {
        failures.push(`${name}: ${error}`);
        continue;
      }
      if (logged.length) {
        failures.push(`${name}: ${JSON.stringify(logged[0], Object.getOwnPropertyNames(logged[0].err || {}).concat(Object.keys(logged[0])))}`);
      } else if (!message) {
        failures.push(`${name}: no answer`);
      } else if (asked.source) {
        // Literals carry no NUL.
        const raw = fs.readFileSync(path.join(folder, name)).map((byte) => byte || 0x80);
        const source = message.source || Buffer.alloc(0);
        if (message.size !== raw.length) failures.push(`${name}: size ${message.size}, ${raw.length} bytes`);
        else if (!source.equals(raw)) failures.push(`${name}: other bytes`);
        else if (!message.envelope || !message.bodyStructure) failures.push(`${name}: no envelope or structure`);
      }
    }
  }
  await client.logout();
  console.log(failures.slice(0, 20).map((text) => text.slice(0, 500)).join("\n"));
  console.log(`imapflow: ${files.length} messages, ${failures.length} failures`);
  process.exit(failures.length ? 1 : 0);
}

main().catch((error) => {
  console.error(error);
  process.exit(2);
});
