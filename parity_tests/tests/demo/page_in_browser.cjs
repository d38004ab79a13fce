// A person at the page: node page_in_browser.cjs CHROMIUM ADDRESS PICTURE, in a folder with playwright-core.
const path = require("path");
const { createRequire } = require("module");
const { chromium } = createRequire(path.join(process.cwd(), "x.js"))("playwright-core");
const [, , executablePath, address, picture] = process.argv;
const seen = { errors: [] };

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  const context = await browser.newContext({ viewport: { width: 390, height: 900 }, hasTouch: true, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
  page.on("request", (request) => { if (!request.url().startsWith(new URL("./", address).href) && !/^(data|blob):/.test(request.url())) seen.errors.push(request.url()); });
  // what the page asks of the model, and the answer, wherever the model runs
  await page.addInitScript(() => {
    window.overheard = [];
    addEventListener("DOMContentLoaded", () => {
      for (const what of ["complete", "interpolate"]) {
        const own = engine[what];
        engine[what] = async (question) => {
          const answer = await own(question);
          window.overheard.push({ what, question, answer, extent: engine.info.extent });
          return answer;
        };
      }
    });
  });
  await page.goto(address);
  await page.waitForSelector("body[data-ready]");
  const counted = async (selector) => page.locator(selector).count();
  const answered = async () => page.waitForFunction(() => document.querySelector("#status").textContent.includes("drawings in"));
  const at = async (paper, x, y) => {
    await page.locator(paper).scrollIntoViewIfNeeded();
    const box = await page.locator(paper).boundingBox();
    return [box.x + x * box.width, box.y + y * box.height];
  };
  const arc = async (paper, radius = 0.12) => {
    await page.mouse.move(...await at(paper, 0.4, 0.32 - radius));
    await page.mouse.down();
    for (let i = 1; i <= 30; i++) {
      const angle = 1.7 * Math.PI * i / 30; // it ends elsewhere than it begins
      await page.mouse.move(...await at(paper, 0.4 + radius * Math.sin(angle), 0.32 - radius * Math.cos(angle)));
    }
    await page.mouse.up();
  };

  // another button of the mouse draws nothing
  await page.mouse.move(...await at("#paper", 0.5, 0.5));
  await page.mouse.down({ button: "right" });
  await page.mouse.up({ button: "right" });
  seen.right = await counted("#paper path");
  // with the mouse: a line, and the model goes on
  await arc("#paper");
  await answered();
  seen.own = await counted("#paper path:not(.model)");
  seen.added = await counted("#paper path.model");
  seen.drawings = await counted("#drawings button");
  seen.status = await page.textContent("#status");
  const lines = async (selector) => page.locator(selector).evaluateAll((all) => all.map((one) => one.getAttribute("d")));
  const asked = async () => page.evaluate(() => window.overheard.splice(0));
  seen.first = { asked: await asked(), own: await lines("#paper path:not(.model)"), added: await lines("#paper path.model") };
  // another ending is chosen, kept, and drawn on
  await page.click("#drawings button:nth-child(2)");
  seen.pressed = await page.locator("#drawings button").evaluateAll((all) => all.map((one) => one.ariaPressed));
  await page.screenshot({ path: picture, fullPage: true });
  await page.click("#keep");
  seen.keptLines = await lines("#paper path");
  seen.kept = [await counted("#paper path:not(.model)"), await counted("#paper path.model"), await counted("#drawings button")];
  // clear, and draw with the keyboard alone
  await page.click("#clear");
  seen.cleared = await counted("#paper path");
  await page.focus("#paper");
  for (const key of ["ArrowUp", "Space", "ArrowRight", "Shift+ArrowRight", "ArrowDown", "Shift+ArrowLeft", "Space"]) await page.keyboard.press(key);
  await answered();
  seen.keyboard = await counted("#paper path:not(.model)");
  seen.keyboardLine = (await lines("#paper path:not(.model)"))[0];
  await page.keyboard.press("Enter");
  await answered();
  // with a finger
  await page.click("#clear");
  await page.touchscreen.tap(...await at("#paper", 0.5, 0.5));
  await answered();
  seen.finger = await counted("#paper path:not(.model)");
  // the settings
  await page.click("#clear");
  await page.fill("#count", "3");
  await arc("#paper");
  await answered();
  seen.three = await counted("#drawings button");
  await page.click("#undo");
  seen.undone = [await counted("#paper path"), await counted("#drawings button")];
  await page.click("#finish"); // nothing is begun: new drawings
  await answered();
  seen.fresh = await counted("#drawings button");
  // the picture as a file
  const download = page.waitForEvent("download");
  await page.click("#save");
  await (await download).saveAs(`${picture}.svg`);
  // a second drawing, and all between the two
  seen.second = await page.isVisible("#second");
  if (seen.second) {
    await page.click("#clear");
    await arc("#paper");
    await answered();
    await arc("#other", 0.24);
    await page.click("#morph");
    await page.waitForFunction(() => window.overheard.some((one) => one.what === "interpolate"));
    await answered();
    seen.morphed = await counted("#drawings path.model");
    seen.middle = await lines("#drawings button:nth-child(2) path");
    await page.click("#clear");
    seen.otherCleared = await counted("#other path");
    seen.between = (await asked()).pop();
  }
  seen.wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  await browser.close();
  process.stdout.write(JSON.stringify(seen));
}

main().catch((error) => { process.stderr.write(`${error.stack}\n${JSON.stringify(seen)}`); process.exit(1); });
