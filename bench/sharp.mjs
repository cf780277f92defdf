// The sharp side of bench/engines.py: `node sharp.mjs cascade|each`, the same lines in and out.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire((process.env.SHARP_HOME ?? process.cwd()) + "/");
const sharp = require("sharp");
sharp.cache(false);
sharp.concurrency(1);

const SIZES = [["large", 1280], ["medium", 480], ["small", 160]];
const JPEG = { quality: 80, chromaSubsampling: "4:2:0", optimiseCoding: process.env.SHARP_OPTIMISE === "1" };
const box = (edge) => ({ width: edge, height: edge, fit: "inside", withoutEnlargement: true });

async function cascade(path) {
  const made = {};
  let source = sharp(path, { limitInputPixels: 100e6 }).rotate();
  for (const [name, edge] of SIZES) {
    const { data, info } = await source.resize(box(edge)).flatten({ background: "#fff" }).toColourspace("srgb")
      .raw().toBuffer({ resolveWithObject: true });
    const raw = { raw: { width: info.width, height: info.height, channels: info.channels } };
    made[name] = await sharp(data, raw).jpeg(JPEG).toBuffer();
    source = sharp(data, raw);
  }
  return made;
}

async function each(path) {
  const made = {};
  for (const [name, edge] of SIZES) {
    made[name] = await sharp(path, { limitInputPixels: 100e6 }).rotate().resize(box(edge))
      .flatten({ background: "#fff" }).jpeg(JPEG).toBuffer();
  }
  return made;
}

const make = process.argv[2] === "cascade" ? cascade : each;
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const spent = process.cpuUsage(), began = performance.now();
  let made = {}, error = null;
  try { made = await make(order.path); } catch (failure) { error = String(failure).slice(0, 200); }
  const used = process.cpuUsage(spent);
  const answer = { cpu_s: (used.user + used.system) / 1e6, wall_s: (performance.now() - began) / 1e3, error,
    peak_bytes: peak(), made: {} };
  if (order.keep) for (const [name, data] of Object.entries(made)) answer.made[name] = data.toString("base64");
  process.stdout.write(JSON.stringify(answer) + "\n");
}
