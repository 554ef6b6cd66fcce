/* How long the page takes to its first contentful paint: loads it into a tab that has been open for half a
 * second, as a browser's is when somebody opens an address, each time with an empty cache.
 *
 *     node tests/soak/first_paint.mjs [LOADS]
 *
 * Prints the times from the navigation, in milliseconds, and fails if their median is above 150. To be
 * run by hand with nothing else running: a busy processor doubles it. Needs what tests/browser/run.sh
 * needs. */

import { launch, serve } from '../browser/support/browser.mjs';

const LIMIT_MS = 150;
const loads = Number(process.argv[2] ?? 40);

const browser = await launch();
const server = await serve();
const times = [];
for (let i = 0; i < loads; i++) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.waitForTimeout(500);
    await page.goto(server.url);
    await page.waitForTimeout(600);
    times.push(await page.evaluate(() =>
        performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity));
    await context.close();
}
await browser.close();
server.stop();

times.sort((a, b) => a - b);
const median = (times[(loads - 1) >> 1] + times[loads >> 1]) / 2;
console.log(`first contentful paint of ${loads} loads: least ${times[0]}, median ${median}, most ${times.at(-1)} ms`);
process.exit(median <= LIMIT_MS ? 0 : 1);
