// What the page's own engine computes: node local_engine.cjs ENGINE.js MODEL.js QUESTION.json
const fs = require("fs");
const path = require("path");
const [, , enginePath, modelPath, questionPath] = process.argv;
const { LocalModel, makeEngine, slerp } = require(path.resolve(enginePath));
const model = new LocalModel(new Function(`${fs.readFileSync(modelPath, "utf8")}; return MODEL;`)());
const { strokes, other } = JSON.parse(fs.readFileSync(questionPath, "utf8"));

async function main() {
  const conditional = model.info.conditional;
  const z = conditional ? model.encode(strokes) : null;
  let state = model.initial(z);
  const mixtures = [];
  for (const point of [[0, 0, 1, 0, 0], ...strokes.map(([dx, dy, lifted]) => [dx, dy, 1 - lifted, lifted, 0])]) {
    state = model.step(point, z, state);
    mixtures.push(Object.fromEntries(Object.entries(model.mixture(state)).map(([name, values]) => [name, [...values]])));
  }
  const engine = makeEngine(model);
  const asked = { strokes, count: 3, temperature: 0.5, seed: 1 };
  const result = { mixtures, z: z && [...z], completed: await engine.complete(asked), again: await engine.complete(asked) };
  const certain = { ...asked, count: 1, temperature: 1e-6 };
  result.certain = (await engine.complete(certain))[0];
  result.begun = await engine.complete({ ...asked, strokes: [] });
  if (conditional) {
    result.between = [0, 0.25, 1].map((fraction) => [...slerp(z, model.encode(other), fraction)]);
    result.morphed = await engine.interpolate({ ...certain, first: strokes, second: other, count: 4 });
  }
  process.stdout.write(JSON.stringify(result));
}

main();
