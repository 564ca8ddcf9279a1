// Every page of `pages.mjs`: what axe finds, what does not fit, and how it looks.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';

import { PAGES, address, furnish, nameOf } from '../pages.mjs';
import { demo } from '../lib/jackfield.mjs';
import { expect, test } from '../lib/browser.mjs';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Where pictures of every page go; none are taken unless it is set. */
const PICTURES = process.env.JACKFIELD_E2E_PICTURES;

// Each page by itself; each of the workers has a server of its own.
test.describe.configure({ mode: 'parallel' });

let jackfield;
let world;
test.beforeAll(async () => {
  jackfield = await demo();
  world = await furnish(jackfield);
});
test.afterAll(() => jackfield?.stop());

/** The page is wider than its window; by what. */
function overflow() {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wide = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > width + 1);
  const deepest = wide.filter((element) => ![...element.children].some((child) => wide.includes(child)));
  return deepest.slice(0, 3).map((element) => element.outerHTML.slice(0, 160));
}

async function fits(page, what) {
  expect.soft(await page.evaluate(overflow), `${what}: wider than its window`).toEqual([]);
}

async function accessible(page, what) {
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
  expect.soft(found, `${what}: axe`).toEqual([]);
}

async function picture(page, name) {
  if (!PICTURES) return;
  fs.mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
}

async function cookiesOf(who) {
  if (who === 'nobody') return [];
  const { email, password } = who === 'founder' ? jackfield.founder : world[who];
  const answer = await fetch(`${jackfield.url}/signin`, {
    method: 'POST', body: new URLSearchParams({ email, password }), redirect: 'manual',
  });
  const [cookie] = answer.headers.getSetCookie();
  const [name, value] = cookie.split(';')[0].split('=');
  return [{ name, value, url: jackfield.url }];
}

for (const who of ['nobody', 'founder', 'user', 'developer']) {
  test.describe(`as ${who}`, () => {
    let cookies;
    test.beforeAll(async () => {
      cookies = await cookiesOf(who);
    });

    for (const entry of PAGES.filter((page) => (page.who ?? 'founder') === who)) {
      const name = nameOf(entry);
      test(`${name}: ${entry.path ?? entry.route}${typeof entry.query === 'string' ? entry.query : ''}`, async ({ context, page }) => {
        await entry.before?.(world);
        await context.addCookies(cookies);
        await context.addInitScript({ path: AXE });
        await page.emulateMedia({ colorScheme: 'light' });
        const answer = await page.goto(jackfield.url + address(entry, world));
        expect([entry.status ?? 200].flat()).toContain(answer.status());
        await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
        await expect(page).toHaveTitle(/\S · \S/);
        for (const width of [1440, 768, 360]) {
          await page.setViewportSize({ width, height: width < 500 ? 740 : 900 });
          await fits(page, `${name} at ${width}`);
          if (width === 1440) await accessible(page, `${name} in light`);
          await picture(page, `${name}-${width}-light`);
          if (!PICTURES && width !== 360) continue;
          await page.emulateMedia({ colorScheme: 'dark' });
          if (width === 360) await accessible(page, `${name} in dark, narrow`);
          await picture(page, `${name}-${width}-dark`);
          await page.emulateMedia({ colorScheme: 'light' });
        }
        await page.setViewportSize({ width: 1280, height: 900 });
        await page.evaluate(() => {
          document.documentElement.style.fontSize = '32px';
        });
        await fits(page, `${name} with text at 200 %`);
      });
    }
  });
}
