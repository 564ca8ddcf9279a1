// The journey at a provider that nobody here wrote, and its ways that end otherwise.

import { ALICE, provider, serve } from '../lib/jackfield.mjs';
import { at, atProvider, connectedAs, expect, popUp, signIn, test } from '../lib/browser.mjs';

let jackfield;
let foreign;
test.beforeAll(async () => {
  jackfield = await serve();
  foreign = await provider(jackfield);
  await jackfield.api.connector(foreign.connector({ link_name: 'foreign' }));
});
test.afterAll(async () => {
  await foreign?.stop();
  await jackfield?.stop();
});

/** A new connection, its page open where it is authorized. */
async function ask(page, name) {
  const link = await jackfield.api.connection({ connector: 'foreign', name, parameters: foreign.parameters });
  await page.goto(`${jackfield.url}/console/connections/${link}/authorize`);
  await at(page, `Authorize ${name}`);
  return link;
}

const authorizations = async (link) => (await jackfield.api.get(`/v1/connections/${link}/authorizations`)).items;

test('who says no is believed, and may try again', async ({ page }) => {
  await signIn(page, jackfield);
  const link = await ask(page, 'Denied');
  const popup = await popUp(page);
  await at(page, 'Waiting for you at Foreign');
  await atProvider(popup, ALICE, 'Deny');
  await at(page, 'Denied was not connected');
  await expect(page.getByRole('main')).toContainText('the person said no');
  expect(await authorizations(link)).toEqual([]);
  const again = await popUp(page, 'Try again');
  // The provider knows her by now, and asks for her consent alone.
  await again.getByRole('button', { name: 'Allow' }).click();
  await connectedAs(page, ALICE.email);
});

test('a pop-up that is blocked costs nobody the journey', async ({ page }) => {
  await page.addInitScript(() => {
    window.open = () => null;
  });
  await signIn(page, jackfield);
  await ask(page, 'Blocked');
  await page.getByRole('button', { name: 'Authorize', exact: true }).click();
  await at(page, 'Waiting for you at Foreign');
  await page.getByRole('link', { name: 'Continue in this tab instead' }).click();
  await atProvider(page, ALICE);
  await connectedAs(page, ALICE.email);
  expect(page.url()).toContain(`${jackfield.url}/console/`);
});

test('a window that was closed is shown again', async ({ page }) => {
  await signIn(page, jackfield);
  await ask(page, 'Closed');
  const first = await popUp(page);
  await at(page, 'Waiting for you at Foreign');
  await first.close();
  const second = await popUp(page, 'Show the window');
  await atProvider(second, ALICE);
  await connectedAs(page, ALICE.email);
});

test('who cancels is not connected by what comes after', async ({ page }) => {
  await signIn(page, jackfield);
  const link = await ask(page, 'Cancelled');
  const popup = await popUp(page);
  await at(page, 'Waiting for you at Foreign');
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await at(page, 'You cancelled it');
  await atProvider(popup, ALICE);
  // The window says that it came too late, or has closed itself.
  await expect.poll(async () => popup.isClosed() || popup.url().startsWith(jackfield.url)).toBe(true);
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
  expect(await authorizations(link)).toEqual([]);
});

test('two tabs do not mix', async ({ context, page }) => {
  await signIn(page, jackfield);
  const other = await context.newPage();
  await ask(page, 'Tab one');
  await ask(other, 'Tab two');
  const first = await popUp(page);
  await at(page, 'Waiting for you at Foreign');
  const second = await popUp(other);
  await at(other, 'Waiting for you at Foreign');
  await atProvider(second, ALICE);
  await connectedAs(other, ALICE.email);
  await expect(other.getByRole('main')).toContainText('tab_two');
  await at(page, 'Waiting for you at Foreign');
  // Her session at the provider began in the other window meanwhile; this one still asks who she is.
  await atProvider(first, ALICE);
  await connectedAs(page, ALICE.email);
  await expect(page.getByRole('main')).toContainText('tab_one');
});

test('two tabs that watch the same flow both say how it ended', async ({ context, page }) => {
  await signIn(page, jackfield);
  await ask(page, 'Watched twice');
  const popup = await popUp(page);
  await at(page, 'Waiting for you at Foreign');
  const other = await context.newPage();
  await other.goto(page.url());
  await at(other, 'Waiting for you at Foreign');
  await atProvider(popup, ALICE);
  await connectedAs(page, ALICE.email);
  await connectedAs(other, ALICE.email);
});

test('a session that ends while the window is open is asked for, and the ending is there', async ({ page }) => {
  await signIn(page, jackfield);
  await ask(page, 'Slow');
  const popup = await popUp(page);
  await at(page, 'Waiting for you at Foreign');
  await jackfield.api.endSessions();
  await at(page, 'Sign in');
  await page.getByLabel('E-mail address').fill(jackfield.founder.email);
  await page.getByLabel('Password').fill(jackfield.founder.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await at(page, 'Waiting for you at Foreign');
  await atProvider(popup, ALICE);
  await connectedAs(page, ALICE.email);
});

test('a flow of somebody else is nobody else\'s', async ({ browser, page }) => {
  await signIn(page, jackfield);
  await ask(page, 'Private');
  const popup = await popUp(page);
  await at(page, 'Waiting for you at Foreign');
  const user = await jackfield.api.person('Curious', 'user');
  const context = await browser.newContext();
  const other = await context.newPage();
  await signIn(other, jackfield, user);
  await other.goto(page.url());
  await at(other, /nothing here|not yours/);
  await context.close();
  await popup.close();
});
