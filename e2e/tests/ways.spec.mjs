// The main journey without JavaScript, and without a mouse.

import { demo } from '../lib/jackfield.mjs';
import { at, atSandbox, connectedAs, create, expect, heading, signIn, test } from '../lib/browser.mjs';

let jackfield;
test.beforeAll(async () => {
  jackfield = await demo();
});
test.afterAll(() => jackfield?.stop());

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('pick, configure, authorize, connected', async ({ page }) => {
    await signIn(page, jackfield);
    await page.getByRole('link', { name: 'New connection' }).click();
    await page.getByRole('link', { name: `Made by ${jackfield.organization}` }).click();
    await page.getByLabel('Search by name or by what it does').fill('practice service');
    await page.getByRole('main').getByRole('button', { name: 'Search' }).click();
    await page.locator('#picker').getByText('Sandbox', { exact: true }).click();
    await at(page, 'Configure Sandbox');
    await page.getByLabel('Display name').fill('Unscripted');
    await page.getByLabel('Link name').fill('Wrong!');
    await page.getByRole('button', { name: 'Create and authorize' }).click();
    await expect(page.getByLabel('Link name')).toHaveAttribute('aria-invalid', 'true');
    await page.getByLabel('Link name').fill('');
    await page.getByRole('button', { name: 'Create and authorize' }).click();
    await at(page, 'Authorize Unscripted');
    await page.getByRole('button', { name: 'Authorize', exact: true }).click();
    await at(page, 'Waiting for you at Sandbox');
    await expect(page.getByRole('button', { name: 'Show the window' })).toBeHidden();
    await page.getByRole('link', { name: 'Continue in this tab instead' }).click();
    await atSandbox(page, jackfield.people.ada);
    await connectedAs(page, jackfield.people.ada.email);
    expect(page.url()).toContain(`${jackfield.url}/console/`);
  });

  test('denied, tried again, connected', async ({ page }) => {
    await signIn(page, jackfield);
    await create(page, jackfield, 'Sandbox: OAuth 1', 'Refused');
    await page.getByRole('button', { name: 'Authorize', exact: true }).click();
    await page.getByRole('link', { name: 'Continue in this tab instead' }).click();
    await atSandbox(page, jackfield.people.lin, 'Deny');
    await at(page, 'Refused was not connected');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('link', { name: 'Continue in this tab instead' }).click();
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    await connectedAs(page, jackfield.people.lin.email);
  });

  test('cancelled', async ({ page }) => {
    await signIn(page, jackfield);
    await create(page, jackfield, 'Sandbox', 'Left alone');
    await page.getByRole('button', { name: 'Authorize', exact: true }).click();
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await at(page, 'You cancelled it');
  });
});

/** Goes by Tab to what has this name, as a person sees it, and says where the focus is meanwhile. */
async function tabTo(page, target) {
  const found = await target.elementHandle();
  for (let step = 0; step < 150; step += 1) {
    await page.keyboard.press('Tab');
    const { there, visible } = await found.evaluate((wanted) => {
      const style = wanted.matches(':focus-visible') ? getComputedStyle(wanted) : null;
      return { there: document.activeElement === wanted, visible: style && (style.outlineStyle !== 'none' || style.boxShadow !== 'none') };
    });
    if (there) {
      expect(visible, 'the focus can be seen').toBe(true);
      return;
    }
  }
  throw new Error('Tab does not come there');
}

test('by the keyboard alone', async ({ page }) => {
  const keys = page.keyboard;
  await page.goto(`${jackfield.url}/console/connections`);
  await tabTo(page, page.getByLabel('E-mail address'));
  await keys.type(jackfield.founder.email);
  await tabTo(page, page.getByLabel('Password'));
  await keys.type(jackfield.founder.password);
  await keys.press('Enter');
  await at(page, 'Connections');
  // The first stop of every page leads past the navigation.
  await keys.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused();
  await keys.press('Enter');
  await tabTo(page, page.getByRole('link', { name: 'New connection' }));
  await keys.press('Enter');
  await at(page, 'What do you want to connect?');
  await tabTo(page, page.getByRole('link', { name: `Made by ${jackfield.organization}` }));
  await keys.press('Enter');
  await expect(page).toHaveURL(/kind=custom/);
  await at(page, 'What do you want to connect?');
  const find = page.getByLabel('Search by name or by what it does');
  await tabTo(page, find);
  await keys.type('practice');
  const card = page.locator('#picker').getByRole('link').filter({ hasText: 'A practice service' });
  await tabTo(page, card);
  await keys.press('Enter');
  await at(page, 'Configure Sandbox');
  const name = page.getByLabel('Display name');
  await tabTo(page, name);
  await keys.press('Control+A');
  await keys.type('By keyboard');
  await tabTo(page, page.getByRole('checkbox', { name: 'Always use the same authorization' }));
  await keys.press('Space');
  await expect(page.getByRole('checkbox', { name: 'Always use the same authorization' })).not.toBeChecked();
  await tabTo(page, page.getByRole('button', { name: 'Create and authorize' }));
  await keys.press('Enter');
  await at(page, 'Authorize By keyboard');
  const stage = page.getByRole('checkbox', { name: 'Stage' });
  await tabTo(page, stage);
  await keys.press('Space');
  await expect(stage).toBeChecked();
  await tabTo(page, page.getByRole('button', { name: 'Authorize', exact: true }));
  const window = page.waitForEvent('popup');
  await keys.press('Enter');
  const popup = await window;
  await at(page, 'Waiting for you at Sandbox');
  await expect(heading(popup)).toHaveText('Sign in to Sandbox');
  await tabTo(popup, popup.getByLabel('Email'));
  await popup.keyboard.type(jackfield.people.ada.email);
  await tabTo(popup, popup.getByLabel('Password'));
  await popup.keyboard.type(jackfield.people.ada.password);
  await popup.keyboard.press('Enter');
  await tabTo(popup, popup.getByRole('button', { name: 'Allow', exact: true }));
  await popup.keyboard.press('Enter');
  await connectedAs(page, jackfield.people.ada.email);
  await tabTo(page, page.getByRole('link', { name: 'See the connection' }));
  await keys.press('Enter');
  await at(page, 'By keyboard');
});
