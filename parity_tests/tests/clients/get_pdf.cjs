// What @magenta/sketch computes: node get_pdf.cjs MODEL.json STROKES.json, in a folder with the package.
//
// STROKES.json is a list of stroke-5 points in units of the network, without the start token. The output is a list of
// mixtures, one for each input: the start token, then each point.
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");
const { SketchRNN } = createRequire(path.join(process.cwd(), "x.js"))("@magenta/sketch");

const [, , model, strokes] = process.argv;
globalThis.fetch = async (file) => ({ json: async () => JSON.parse(fs.readFileSync(file, "utf8")) });
console.log = () => {}; // the package says that it is initialized

async function main() {
  const network = new SketchRNN(model);
  await network.initialize();
  network.setPixelFactor(network.info.scale_factor); // offsets are then the network's own
  let state = network.zeroState();
  const mixtures = [];
  for (const point of [network.zeroInput(), ...JSON.parse(fs.readFileSync(strokes, "utf8"))]) {
    state = network.update(point, state);
    const { sigmaY, ...pdf } = network.getPDF(state, 1, 1); // both temperatures are 1
    pdf.sigmaY = sigmaY.slice(0, pdf.sigmaX.length); // the package returns what follows, too
    mixtures.push(Object.fromEntries(Object.entries(pdf).map(([name, values]) => [name, [...values]])));
  }
  process.stdout.write(JSON.stringify(mixtures));
}

main();
