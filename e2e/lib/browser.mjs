// A browser in which nothing foreign may run: every test fails that sees a dialog, an error of a script, or something
// that the content security policy had to stop.

import { test as base, expect } from '@playwright/test';

export { expect };

/** What a browser says on its console when a page has a status such as 422: no error of the page. */
const NO_ERROR = /^Failed to load resource: the server responded with a status of/;

/** Text that is code wherever it is not escaped. */
export const HOSTILE = '"><img src=x onerror=alert(1)>';

export const test = base.extend({
  guard: [async ({ context }, use) => {
    const complaints = [];
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        console.error(`securitypolicyviolation: ${event.violatedDirective} ${event.blockedURI} at ${location.pathname}`);
      });
    });
    context.on('dialog', (dialog) => {
      complaints.push(`a dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    context.on('console', (message) => {
      if (message.type() === 'error' && !NO_ERROR.test(message.text())) complaints.push(`console: ${message.text()}`);
    });
    context.on('weberror', (error) => complaints.push(`script: ${error.error()}`));
    await use(complaints);
    expect(complaints, 'nothing foreign ran, and nothing broke').toEqual([]);
  }, { auto: true }],
});

export const heading = (page) => page.getByRole('heading', { level: 1 });

/** The page has this heading: a text, or an expression. */
export async function at(page, title) {
  await expect(heading(page)).toHaveText(title);
}

/** Connected, as that account; a second account of the same name has a number. */
export async function connectedAs(page, account) {
  await expect(heading(page)).toHaveText(new RegExp(`^Connected as ${account.replaceAll('.', '\\.')}( \\(\\d+\\))?$`));
}

/** Signs in by the form, and comes to `path`. */
export async function signIn(page, jackfield, who = jackfield.founder, path = '/console/connections') {
  await page.goto(jackfield.url + path);
  await at(page, 'Sign in');
  await fillIn(page, who);
  await page.waitForURL(jackfield.url + path);
}

/** Fills the sign-in form in and sends it. */
export async function fillIn(page, { email, password }) {
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Picks a connector from the list and leaves the browser at its form. */
export async function pick(page, jackfield, name, { custom = true } = {}) {
  await page.goto(`${jackfield.url}/console/connections/new`);
  await at(page, 'What do you want to connect?');
  if (custom) await page.getByRole('link', { name: `Made by ${jackfield.organization}` }).click();
  await page.locator('#picker').getByText(name, { exact: true }).click();
  await at(page, `Configure ${name}`);
}

/** Steps one and two: a connection by that connector, up to the question for its authorization. */
export async function create(page, jackfield, connector, name, { level, scopes = [], fill = {} } = {}) {
  await pick(page, jackfield, connector);
  await page.getByLabel('Display name').fill(name);
  if (level) await page.getByRole('radio', { name: level }).check();
  for (const scope of scopes) await page.getByRole('checkbox', { name: scope }).check();
  for (const [label, value] of Object.entries(fill)) await page.getByLabel(label).fill(value);
  await page.getByRole('button', { name: 'Create and authorize' }).click();
  await at(page, `Authorize ${name}`);
}

/** Presses the button that opens the service's window; the window. */
export async function popUp(page, button = 'Authorize') {
  const popup = page.waitForEvent('popup');
  await page.getByRole('button', { name: button, exact: true }).click();
  return popup;
}

/** Accepts at the foreign provider, or says no: in its pop-up or in the tab. */
export async function atProvider(page, who, decision = 'Allow') {
  await page.getByLabel('User name').fill(who.username);
  await page.getByLabel('Password').fill(who.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: decision }).click();
}

/** Accepts at the Sandbox, or says no. */
export async function atSandbox(page, who, decision = 'Allow') {
  await at(page, 'Sign in to Sandbox');
  await page.getByLabel('Email').fill(who.email);
  await page.getByLabel('Password').fill(who.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: decision, exact: true }).click();
}
