// Checks a file that `ektp audit prove RECEIPT` made, with the log's public key alone: no package, no network.
//   node check_proof.mjs case.tlog-proof ombudsman.key
// Prints each event that is proven as a line of JSON. Where one is not, it prints none, says why and ends with code 1.
//
// Formats: C2SP tlog-proof, tlog-checkpoint and signed-note; the tree is that of RFC 6962, walked as RFC 9162, 2.1.3.2.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const [proofs, key] = process.argv.slice(2);
try {
  const log = readKey(readText(key).trim());
  const events = readText(proofs).split(/^(?=c2sp\.org\/tlog-proof@)/m).map((proof) => proven(proof, log));
  events.forEach((event, at) => {
    // of one case, from its first on; what came after the last one no proof can tell
    const same = ["source", "subject"].every((name) => event[name] === events[0][name]) && entity(event) === entity(events[0]);
    insist(same && event.caseversion === at + 1, "events of the case are left out, or are of another");
  });
  events.forEach((event) => console.log(JSON.stringify(event)));
} catch (wrong) {
  console.error(`not proven: ${wrong.message}`);
  process.exit(1);
}

/** The event in a proof. Throws unless it is in the tree that the log signed. */
function proven(proof, log) {
  const [head, ...rest] = proof.split("\n\n");
  const [header, extra, at, ...path] = head.split("\n");
  insist(header === "c2sp.org/tlog-proof@v1" && extra?.startsWith("extra ") && at?.startsWith("index "), "not a tlog-proof");
  const { size, root } = readCheckpoint(rest.join("\n\n"), log);
  const entry = bytes(extra.slice(6)); // the event as it is in the journal: what is proven
  const leaf = sha256(Buffer.of(0), entry);
  insist(rootFrom(leaf, number(at.slice(6)), size, path.map(bytes))?.equals(root), "the hashes do not lead to the checkpoint");
  return JSON.parse(entry);
}

/** Size and root of the tree, as the log signed them. Signatures of others are left alone. */
function readCheckpoint(note, log) {
  const end = note.lastIndexOf("\n\n") + 1;
  const text = note.slice(0, end);
  const [origin, size, root] = text.split("\n");
  const signed = note.slice(end + 1).split("\n").some((line) => {
    const [dash, name, encoded] = line.split(" ");
    if (dash !== "—" || name !== log.name) return false;
    const blob = bytes(encoded);
    return blob.subarray(0, 4).equals(log.id) && verify(null, Buffer.from(text), log.key, blob.subarray(4));
  });
  insist(signed && origin === log.name, "its checkpoint is not signed by this key");
  return { size: number(size), root: bytes(root) };
}

/** The root that these hashes lead to, from the leaf up; undefined where they are too many or too few. */
function rootFrom(leaf, index, size, path) {
  if (index >= size) return undefined;
  let [node, last, hash] = [index, size - 1n, leaf];
  for (const sibling of path) {
    if (last === 0n) return undefined;
    if (node & 1n || node === last) {
      hash = sha256(Buffer.of(1), sibling, hash);
      while (node && !(node & 1n)) [node, last] = [node >> 1n, last >> 1n];
    } else {
      hash = sha256(Buffer.of(1), hash, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n ? hash : undefined;
}

/** `<name>+<id>+<base64 of type and public key>`; type 1 is Ed25519. */
function readKey(vkey) {
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(vkey) ?? [];
  const material = bytes(encoded);
  insist(material.length === 33 && material[0] === 1, "not the public key of a log");
  const known = sha256(Buffer.from(`${name}\n`), material).subarray(0, 4);
  insist(known.toString("hex") === id, "the key does not belong to its name and id");
  const jwk = { kty: "OKP", crv: "Ed25519", x: material.subarray(1).toString("base64url") };
  return { name, id: known, key: createPublicKey({ key: jwk, format: "jwk" }) };
}

function entity(event) {
  return event.type.split(".")[3];
}

function sha256(...parts) {
  return createHash("sha256").update(Buffer.concat(parts)).digest();
}

/** Strictly: Node's own decoder leaves out what it does not know. */
function bytes(base64) {
  const found = Buffer.from(base64 ?? "", "base64");
  insist(found.toString("base64") === base64, "not base64");
  return found;
}

function number(decimal) {
  insist(/^(0|[1-9]\d{0,18})$/.test(decimal), "not a number");
  return BigInt(decimal);
}

function readText(file) {
  return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
}

function insist(that, why) {
  if (!that) throw new Error(why);
}
