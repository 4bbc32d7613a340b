// Runs ONNX models in onnxruntime-web: node onnxruntime_web.cjs FOLDER < CASES
//
// FOLDER is where the package is installed. CASES is a JSON list of {model, calls}: a file, and the calls, one after the
// other, each {inputs, carried}: {name: [type, dims, values]}, and {input: output of the call before}. The outputs of all
// calls are written as JSON, {name: [dims, values]}.

"use strict";

const fs = require("node:fs");
const ort = require(require.resolve("onnxruntime-web", { paths: [process.argv[2]] }));

ort.env.wasm.numThreads = 1;

const ARRAYS = {
  bool: (values) => Uint8Array.from(values),
  int64: (values) => BigInt64Array.from(values.map(BigInt)),
  float32: (values) => Float32Array.from(values),
};

function tensor([type, dims, values]) {
  return new ort.Tensor(type, ARRAYS[type](values), dims);
}

async function run({ model, calls }) {
  const session = await ort.InferenceSession.create(fs.readFileSync(model));
  const results = [];
  let before = {};
  for (const { inputs, carried } of calls) {
    const feeds = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, tensor(value)]));
    for (const [name, output] of Object.entries(carried)) feeds[name] = before[output];
    before = await session.run(feeds);
    results.push(
      Object.fromEntries(Object.entries(before).map(([name, value]) => [name, [value.dims, Array.from(value.data)]])),
    );
  }
  return results;
}

async function main() {
  const all = [];
  for (const each of JSON.parse(fs.readFileSync(0, "utf8"))) all.push(await run(each));
  process.stdout.write(JSON.stringify(all));
}

main();
