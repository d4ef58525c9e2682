// What TensorFlow.js itself answers, for `pipeline/gates/_nsfwjs.py`: a development-only check.
//
//   npm install --ignore-scripts @tensorflow/tfjs@4.22.0 nsfwjs@4.3.0
//   node nsfwjs.mjs pictures.u8     (uint8, n x 224 x 224 x 3; prints n x 5 probabilities)
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "here.js"));
const tf = require("@tensorflow/tfjs");
const models = join(process.cwd(), "node_modules/nsfwjs/dist/models/mobilenet_v2");
const model = require(join(models, "model.min.js"));
const weights = Buffer.from(require(join(models, "group1-shard1of1.min.js")), "base64");
const network = await tf.loadLayersModel(
  tf.io.fromMemory({
    modelTopology: model.modelTopology,
    weightSpecs: model.weightsManifest.flatMap((group) => group.weights),
    weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length),
  }),
);
const pixels = readFileSync(process.argv[2]);
const shape = [pixels.length / (224 * 224 * 3), 224, 224, 3];
const answer = network.predict(tf.tensor4d(Float32Array.from(pixels), shape).div(255));
console.log(JSON.stringify(await answer.array()));
