// A subscriber in JavaScript: npm ci && node subscriber.mjs bank.json bank.jsonl
//
// bank.json is what `ektp subscriber add` wrote. Each event becomes one line of bank.jsonl, once: history first, then
// what comes. The file is both what was done and the record of it (of more than some million events, take a database), so
// a kill -9 cannot part them. After one, what was not acknowledged comes again, behind newer events: therefore it is known
// by all the positions it had, and not by the last.
//
// It ends with code 2, and says why, where events are missing or unreadable: then a human has to look, and it is not to be
// started again, as the server tells of missing events but once. On anything else it ends with code 1: start it again.
import { JetStreamError, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { appendFileSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

const SILENCE_MS = 5_000; // the server has as long to send what it counts
const BATCH = 100; // far below 1,000: so many unacknowledged events, and the server sends no more

const [credentials, lines] = process.argv.slice(2);
const given = JSON.parse(readFileSync(credentials, "utf8"));
const had = readHad(); // id by sequence
const out = openSync(lines, "a", 0o600);

const { url: servers, user, password: pass } = given;
const connection = await connect({ servers, user, pass, maxReconnectAttempts: -1 });
const consumer = await jetstream(connection, { apiPrefix: given.api_prefix }).consumers.get(given.stream, given.consumer);

let counted = (await consumer.info(true)).num_pending; // events that the server says it has for us
for (;;) {
  let came = 0;
  try {
    for await (const message of await consumer.fetch({ max_messages: BATCH, expires: SILENCE_MS })) {
      keep(message);
      message.ack();
      counted = message.info.pending;
      came += 1;
    }
  } catch (trouble) {
    if (!(trouble instanceof JetStreamError)) throw trouble;
    console.error(`${trouble.message}: trying again`); // the backbone is starting again, most often
    await setTimeout(1_000);
    continue;
  }
  if (counted && !came && !connection.isClosed()) end(`${counted} events are counted and do not come`);
}

function keep(message) {
  const event = read(message);
  const { sequence, id } = event;
  if (!had.has(sequence)) {
    appendFileSync(out, `${JSON.stringify(event)}\n`);
    fsyncSync(out);
    had.set(sequence, id);
  } else if (had.get(sequence) !== id) {
    end(`event ${sequence} is another than it was: the feed was cut`);
  }
}

function read(message) {
  try {
    const event = message.json();
    if (!/^\d{20}$/.test(event.sequence) || typeof event.id !== "string") {
      throw new TypeError("neither sequence nor id");
    }
    return event;
  } catch (broken) {
    return end(`message ${message.seq} of the feed is unreadable (${broken.message}) and was not acknowledged`);
  }
}

function readHad() {
  const text = existsSync(lines) ? readFileSync(lines, "utf8") : "";
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole !== text) truncateSync(lines, Buffer.byteLength(whole)); // what is left of a line was not acknowledged
  const events = whole.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return new Map(events.map(({ sequence, id }) => [sequence, id]));
}

function end(why) {
  console.error(`${why}: please tell the operator of the backbone`);
  process.exit(2);
}
